"""Writes an exported model: three graphs, the vocabulary, and the contract beside them."""

import copy
import io
import json
from dataclasses import asdict
from pathlib import Path

import msgspec
import torch

from showattend.errors import InputError, find_by_name
from showattend.export.graphs import RecordedGraph, record_graphs
from showattend.export.onnx_files import check_installed, write_onnx
from showattend.export.page_files import OPTIONS, PAGE_FILES
from showattend.files import atomic_folder, sha256_of
from showattend.model_files import SUBWORDS, VOCABULARY, save_vocabulary
from showattend.pretrained import Pretrained
from showattend.runtime.contract import CONTRACT, FORMAT, GRAPHS, Contract, Graph, Grid
from showattend.version import __version__
from showattend.vocabulary import END, FORBIDDEN_IDS, PAD, START

FORMATS = ("onnx", "pt2", "web")


def export_model(model: Pretrained, folder: Path, runtime: str = "onnx", *, int8: bool = False) -> None:
    """Write an exported model, complete or not at all.

    Args:
        folder: must not exist yet, or be an older export, which is replaced; what else lies in the folder stays
        runtime: onnx, or pt2 for torch.export's own files
        int8: matrices of 8 bits, by onnxruntime's dynamic quantisation

    Raises:
        InputError: the place cannot be written to, or holds something else; a library is missing; a part cannot be exported.
    """
    check_export(folder, runtime, int8=int8)
    with atomic_folder(folder, exported_files(folder)) as temporary:
        write_model(model, temporary, runtime, int8=int8)


def check_export(folder: Path, name: str, *, int8: bool = False) -> None:
    """Find out before the work what forbids it.

    Args:
        name: onnx, pt2 or web

    Raises:
        InputError: see `export_model`.
    """
    find_by_name("format", name, dict.fromkeys(FORMATS))
    if folder.exists() and not (folder / CONTRACT).exists():
        raise InputError(f"{folder} exists and is no exported model: choose another folder")
    if name != "pt2":
        check_installed()
    elif int8:
        raise InputError("int8 is onnxruntime's: give --format onnx, or leave --int8 out")


def exported_files(folder: Path) -> set[str]:
    """Names of the files that an older export in the folder consists of."""
    graphs = {path.name for path in folder.glob("*") if path.stem in GRAPHS and path.suffix in (".onnx", ".pt2")}
    page = PAGE_FILES if (folder / OPTIONS).exists() else ()
    return {CONTRACT, VOCABULARY, SUBWORDS, *graphs, *page}


def write_model(model: Pretrained, folder: Path, runtime: str, *, int8: bool = False) -> None:
    """Write graphs, vocabulary and contract into a folder that exists.

    Raises:
        InputError: a part cannot be exported.
    """
    network = copy.deepcopy(model.network).float().eval().requires_grad_(False)
    graphs = record_graphs(network, model.preprocessing.image_size)
    for name, graph in graphs.items():
        if runtime == "onnx":
            write_onnx(graph, folder / f"{name}.onnx", int8=int8)
        else:
            content = io.BytesIO()  # torch ends the process where a disk is full
            torch.export.save(graph.program, content)
            (folder / f"{name}.pt2").write_bytes(content.getbuffer())
    save_vocabulary(model.vocabulary, folder)
    contract = _make_contract(model, graphs, folder, runtime, int8=int8)
    (folder / CONTRACT).write_text(json.dumps(msgspec.to_builtins(contract), indent=2) + "\n")


def _make_contract(model: Pretrained, graphs: dict[str, RecordedGraph], folder: Path, runtime: str, *, int8: bool) -> Contract:
    """The contract of the files in a folder."""
    image_size, encoder = model.preprocessing.image_size, model.network.encoder
    with torch.inference_mode():
        shape = encoder(torch.zeros(1, 3, image_size, image_size, dtype=torch.uint8)).grid_shape
    return Contract(
        format=FORMAT,
        showattend=__version__,
        runtime=runtime,
        int8=int8,
        graphs={name: Graph(f"{name}.{runtime}", graph.inputs, graph.outputs) for name, graph in graphs.items()},
        preprocessing=asdict(model.preprocessing),
        generation=asdict(model.generation),
        grid=Grid(shape, *encoder.geometry_at(image_size)),
        tokenizer=model.vocabulary.tokenizer,
        start_id=START,
        end_id=END,
        pad_id=PAD,
        forbidden_ids=list(FORBIDDEN_IDS),
        sha256={path.name: sha256_of(path) for path in sorted(folder.iterdir())},
    )
