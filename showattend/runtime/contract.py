"""The files of an exported model, and its contract: what each graph takes and returns, in a JSON file beside them.

An exported folder is not trusted: it is read as data, every value is checked, and its graphs hold operators of ONNX only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from showattend.data.json_files import check_schema, read_json
from showattend.data.transforms import Preprocessing
from showattend.errors import InputError
from showattend.files import sha256_of
from showattend.generation_config import GenerationConfig
from showattend.geometry import GridGeometry
from showattend.model_files import COPY_AGAIN, VOCABULARY, check_not_mirrored, read_vocabulary
from showattend.vocabulary import Vocabulary

FORMAT = 1
CONTRACT = "contract.json"
ENCODER, FIRST_STATE, STEP = GRAPHS = ("encoder", "first_state", "step")
# Names of tensors that the search knows; those of the state and of the attention's cache are the model's own.
PIXELS, FEATURES, TOKEN_IDS, LOG_PROBS, ALPHA = "pixels", "features", "token_ids", "log_probs", "alpha"
NEXT = "next_"  # begins the name of a new state's tensor
# Bounds of a grid: locations along a side, and pixels of a distance.
MAX_SIDE, MAX_PIXELS = 4096, 1e6
EXPORT_AGAIN = "export the model again"


class TensorSpec(msgspec.Struct, frozen=True):
    """Name, NumPy's dtype and shape of a tensor; an axis without a fixed size has a name: photos, hypotheses or locations."""

    name: str
    dtype: str
    shape: list[int | str]


class Graph(msgspec.Struct, frozen=True):
    """A graph's file, and its inputs and outputs in their order."""

    file: str
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]


class Grid(msgspec.Struct, frozen=True):
    """Rows and columns of the locations, and the centres of their receptive fields in the network's square, see `GridGeometry`."""

    shape: tuple[Annotated[int, msgspec.Meta(ge=1, le=MAX_SIDE)], Annotated[int, msgspec.Meta(ge=1, le=MAX_SIDE)]]
    first: Annotated[float, msgspec.Meta(ge=-MAX_PIXELS, le=MAX_PIXELS)]
    step: Annotated[float, msgspec.Meta(gt=0, le=MAX_PIXELS)]


class Contract(msgspec.Struct, frozen=True):
    """The content of CONTRACT.

    Attributes:
        format: of this file
        showattend: version that wrote it
        runtime: onnx or pt2
        int8: whether matrices are of 8 bits
        graphs: encoder: photos to features; first_state: features to state and cache; step: one word further
        preprocessing: how a photo becomes the encoder's pixels; fields of `Preprocessing`
        generation: how captions are searched for unless the user says otherwise; fields of `GenerationConfig`
        grid: where the locations lie
        tokenizer: what the vocabulary's tokens come from
        forbidden_ids: tokens that no caption contains
        start_id, end_id, pad_id: tokens that begin and end captions, and fill up shorter ones
        sha256: digests of the other files
    """

    format: int
    showattend: str
    runtime: str
    int8: bool
    graphs: dict[str, Graph]
    preprocessing: dict[str, int | str | bool]
    generation: dict[str, int | float | bool | list[int]]
    grid: Grid
    tokenizer: str
    start_id: int
    end_id: int
    pad_id: int
    forbidden_ids: list[int]
    sha256: dict[str, str]


class ExportedModel(NamedTuple):
    """An exported folder, read and checked."""

    folder: Path
    contract: Contract
    vocabulary: Vocabulary
    preprocessing: Preprocessing
    generation: GenerationConfig

    @property
    def geometry(self) -> GridGeometry:
        """Where the grid looks."""
        return GridGeometry(self.contract.grid.first, self.contract.grid.step)

    def path(self, graph: str) -> Path:
        """The file of a graph."""
        return self.folder / self.contract.graphs[graph].file


def read_exported(folder: Path) -> ExportedModel:
    """Read a folder that `showattend export` has written.

    Raises:
        InputError: there is none, or a file is missing or damaged, or a value is not valid.
    """
    folder = Path(folder)
    if not (folder / CONTRACT).is_file():
        raise InputError(f"no exported model at {folder}: make one with showattend export --format onnx --model DIR --out {folder}")
    path = folder / CONTRACT
    content = read_json(path)
    if isinstance(content, dict) and content.get("format") != FORMAT:
        raise InputError(f"{path} has the format {str(content.get('format'))[:20]}, this showattend reads {FORMAT}: {EXPORT_AGAIN}")
    contract = check_schema(content, Contract, f"{path} is no contract of an exported model")
    try:
        preprocessing = msgspec.convert(contract.preprocessing, Preprocessing)
        generation = msgspec.convert(contract.generation, GenerationConfig)
        check_not_mirrored(preprocessing)
    except (InputError, msgspec.ValidationError) as error:
        raise InputError(f"{path}: {error}") from error
    _check_graphs(contract, path)
    for name, digest in contract.sha256.items():
        _check_digest(folder, name, digest)
    return ExportedModel(folder, contract, read_vocabulary(folder, contract.tokenizer), preprocessing, generation)


def _check_graphs(contract: Contract, path: Path) -> None:
    missing = [name for name in GRAPHS if name not in contract.graphs]
    if missing:
        raise InputError(f"{path} lacks the graph {missing[0]}: {EXPORT_AGAIN}")
    for name in (VOCABULARY, *(graph.file for graph in contract.graphs.values())):
        if name not in contract.sha256:
            raise InputError(f"{path} lacks the digest of {name}: {EXPORT_AGAIN}")


def _check_digest(folder: Path, name: str, digest: str) -> None:
    if Path(name).name != name or not (folder / name).is_file():
        raise InputError(f"the exported model {folder} lacks {name}: {COPY_AGAIN}")
    if sha256_of(folder / name) != digest:
        raise InputError(f"{folder / name} is not the file that {CONTRACT} was written for: {COPY_AGAIN}")
