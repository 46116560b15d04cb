"""Writes recorded graphs as ONNX files, and rounds their matrices to 8 bits."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch

from showattend.errors import InputError, one_line
from showattend.export.graphs import RecordedGraph


def check_installed() -> None:
    """Find out before the work whether the libraries are here.

    Raises:
        InputError: one is missing.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(name) is None:
            raise InputError(f"{name} is not installed, which --format onnx needs: pip install 'showattend[onnx]'")


def write_onnx(graph: RecordedGraph, path: Path, *, int8: bool = False) -> None:
    """Write one graph.

    Args:
        int8: round matrices to 8 bits, by onnxruntime's dynamic quantisation

    Raises:
        InputError: there is no ONNX operator for something that the graph does.
    """
    import onnx_ir

    names = [[spec.name for spec in specs] for specs in (graph.inputs, graph.outputs)]
    try:
        with _quiet():
            program = torch.onnx.export(graph.program, input_names=names[0], output_names=names[1], dynamo=True, verbose=False)
    except Exception as error:  # the exporter's own types are private
        raise InputError(f"the graph {path.name} cannot be written as ONNX ({one_line(error)}): caption with the model folder") from error
    assert program is not None
    for values, specs in ((program.model.graph.inputs, graph.inputs), (program.model.graph.outputs, graph.outputs)):
        for value, spec in zip(values, specs, strict=True):
            value.shape = onnx_ir.Shape(spec.shape)
    program.save(path)
    if int8:
        quantize(path)


def quantize(path: Path) -> None:
    """Replace the products with constant matrices by products of 8 bits; convolutions, which get slower, stay as they are."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        # 7 of the 8 bits: sums of two products fit into 16 bits on every processor.
        quantize_dynamic(
            path, path, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' remarks on their own steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        disabled = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(disabled)
