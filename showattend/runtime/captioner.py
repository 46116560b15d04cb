"""Captions by an exported model: three graphs that onnxruntime runs, and a search in NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from showattend.arrays import Ints
from showattend.batching import in_batches
from showattend.data.images import BrokenImage
from showattend.errors import InputError, one_line
from showattend.generation_config import GenerationConfig
from showattend.geometry import Box
from showattend.inference.caption import Caption, Failure
from showattend.runtime.beam_search import Float32s, Hypotheses, State, generate
from showattend.runtime.contract import (
    ALPHA,
    CONTRACT,
    ENCODER,
    EXPORT_AGAIN,
    FEATURES,
    FIRST_STATE,
    LOG_PROBS,
    NEXT,
    PIXELS,
    STEP,
    TOKEN_IDS,
    ExportedModel,
    read_exported,
)

if TYPE_CHECKING:
    import onnxruntime
    from torch import Tensor

Arrays = dict[str, NDArray[Any]]


class _LoadedPhoto(NamedTuple):
    """Pixels (3,S,S) of a photo with its width and height; None for one that cannot be read, with the reason."""

    pixels: NDArray[np.uint8] | None
    size: tuple[int, int]
    reason: str


class ExportedCaptioner:
    """An exported model, ready to caption; `caption_files` is that of `inference.Captioner`."""

    def __init__(self, model: ExportedModel) -> None:
        self.model = model
        self.sessions = {name: _open_session(model, name) for name in (ENCODER, FIRST_STATE, STEP)}

    @classmethod
    def from_folder(cls, folder: Path | str) -> ExportedCaptioner:
        """Load a folder that `showattend export --format onnx` has written.

        Raises:
            InputError: see `read_exported`; onnxruntime is not installed or refuses a graph.
        """
        return cls(read_exported(Path(folder)))

    def caption_files(
        self, paths: Iterable[Path], config: GenerationConfig | None = None, *, batch_size: int = 32, workers: int = 1
    ) -> Iterator[tuple[Path, Caption | Failure]]:
        """Caption photo files in batches, in order; one that cannot be read yields its reason, and the others go on.

        Args:
            workers: threads that read the photos of a batch

        Raises:
            InputError: the search needs torch, see `beam_search.check_supported`.
        """
        with ThreadPoolExecutor(max(1, workers)) as pool:
            for batch in in_batches(paths, batch_size):
                photos = list(pool.map(self._load, batch))
                captions = iter(self._caption([photo for photo in photos if photo.pixels is not None], config or self.model.generation))
                for path, photo in zip(batch, photos, strict=True):
                    yield path, replace(next(captions), photo=path) if photo.pixels is not None else Failure(photo.reason)

    def _load(self, path: Path) -> _LoadedPhoto:
        try:
            return _LoadedPhoto(*self.model.preprocessing.load_array(path), "")
        except BrokenImage as error:
            return _LoadedPhoto(None, (0, 0), str(error))

    def _caption(self, photos: Sequence[_LoadedPhoto], config: GenerationConfig) -> list[Caption]:
        if not photos:
            return []
        pixels = np.stack([photo.pixels for photo in photos if photo.pixels is not None])
        try:
            hypotheses = self.generate(pixels, config)
            return [self._best_caption(hypotheses, row, photo.size) for row, photo in enumerate(photos)]
        except (InputError, MemoryError):
            raise
        except Exception as error:  # onnxruntime's errors share no type; and a graph may give what the contract does not say
            raise InputError(f"the graphs in {self.model.folder} cannot caption ({one_line(error)}): {EXPORT_AGAIN}") from error

    def generate(self, pixels: NDArray[np.uint8], config: GenerationConfig) -> Hypotheses:
        """Hypotheses for photos (N,3,S,S).

        Raises:
            InputError: see `beam_search.check_supported`.
        """
        features = self._run(ENCODER, {PIXELS: pixels})[FEATURES]
        first = self._run(FIRST_STATE, {FEATURES: features})
        state_names = [name for name in first if NEXT + name in self._outputs(STEP)]
        cache = {name: value for name, value in first.items() if name not in state_names}

        def step(token_ids: Ints, state: State) -> tuple[Float32s, State, Float32s]:
            inputs = {TOKEN_IDS: token_ids, **dict(zip(state_names, state, strict=True)), **cache}
            results = self._run(STEP, inputs)
            if np.isnan(results[LOG_PROBS]).any() or np.isnan(results[ALPHA]).any():
                raise InputError(f"the graphs in {self.model.folder} give NaN, which is no probability: {EXPORT_AGAIN}")
            if results[ALPHA].shape[-1] != math.prod(self.model.contract.grid.shape):
                raise InputError(f"the graphs in {self.model.folder} look at another grid than {CONTRACT} says: {EXPORT_AGAIN}")
            return results[LOG_PROBS], [results[NEXT + name] for name in state_names], results[ALPHA]

        return generate(step, [first[name] for name in state_names], config)

    def _outputs(self, graph: str) -> list[str]:
        return [output.name for output in self.model.contract.graphs[graph].outputs]

    def _run(self, graph: str, inputs: Arrays) -> Arrays:
        names = self._outputs(graph)
        return dict(zip(names, self.sessions[graph].run(names, inputs), strict=True))

    def _best_caption(self, hypotheses: Hypotheses, row: int, size: tuple[int, int]) -> Caption:
        """The best caption of one photo, with the other hypotheses that exist as its alternatives."""
        grid, vocabulary, captions = self._grid(size), self.model.vocabulary, list[Caption]()
        for ids, score, alphas in zip(*(each[row] for each in hypotheses), strict=True):
            if score > -math.inf or not captions:
                words = vocabulary.decode(ids.tolist())
                weights = cast("Tensor", alphas[: len(words)])  # see Caption.alphas
                captions.append(Caption(words, float(score), weights, *grid, tokenizer=vocabulary.tokenizer))
        best, *alternatives = captions
        return replace(best, alternatives=alternatives)

    def _grid(self, size: tuple[int, int]) -> tuple[tuple[int, int], Box, Box]:
        """Shape of the grid, and where it and the network's square lie on a photo of this width and height."""
        preprocessing, shape = self.model.preprocessing, self.model.contract.grid.shape
        crop_box = preprocessing.crop_box(*size)
        return shape, crop_box, self.model.geometry.grid_box(shape, preprocessing.image_size, crop_box)


def _open_session(model: ExportedModel, graph: str) -> onnxruntime.InferenceSession:
    """A graph, ready to run on the CPU.

    Raises:
        InputError: onnxruntime is not installed or refuses the file, or the graph is not the contract's.
    """
    path = model.path(graph)
    if model.contract.runtime != "onnx":
        raise InputError(f"{model.folder} was exported as {model.contract.runtime}: onnxruntime needs showattend export --format onnx")
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError("onnxruntime is not installed: pip install 'showattend[onnx]', or caption with --backend torch") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its warnings quote a stranger's names as they are, with control characters
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no type
        raise InputError(f"onnxruntime cannot open {path} ({one_line(error)}): {EXPORT_AGAIN}") from error
    expected = model.contract.graphs[graph]
    for specs, values in ((expected.inputs, session.get_inputs()), (expected.outputs, session.get_outputs())):
        if {spec.name for spec in specs} != {value.name for value in values}:
            raise InputError(f"{path} has other inputs or outputs than the contract says: {EXPORT_AGAIN}")
    return session
