"""A captioner as three graphs, recorded by torch.export: encoder, first state and attention's cache, one step of the decoder.

Shapes: N photos with G hypotheses each, L locations, D channels of features, V tokens. N, G and L are free in the graphs; the photos'
size is the one that the model was trained with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from showattend.encoders import Encoder
from showattend.errors import InputError, one_line
from showattend.models.caption_model import CaptionModel
from showattend.models.decoder import Decoder
from showattend.runtime.contract import ALPHA, ENCODER, FEATURES, FIRST_STATE, LOG_PROBS, NEXT, PIXELS, STEP, TOKEN_IDS, TensorSpec

# Sizes of the examples that are recorded, different from each other and from 0 and 1, which torch.export takes for fixed.
PHOTOS, HYPOTHESES, LOCATIONS, OTHER_LOCATIONS = 2, 3, 7, 11
FREE = {"photos": Dim("photos"), "hypotheses": Dim("hypotheses"), "locations": Dim("locations")}
Axes = dict[int, str]  # the names of a tensor's free axes
ROWS: Axes = {0: "photos", 1: "hypotheses"}
Example = list[tuple[str, Tensor, Axes]]


@dataclass(frozen=True)
class RecordedGraph:
    """What torch.export recorded, and the names, types and shapes of what goes in and out."""

    program: ExportedProgram
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]


class FeaturesOf(nn.Module):
    """The encoder as a graph."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: Tensor) -> Tensor:
        """Photos, uint8 (N,3,S,S), to features (N,L,D)."""
        features: Tensor = self.encoder(pixels).features
        return features.contiguous()


class FirstState(nn.Module):
    """What a search begins with, as a graph."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Features (N,L,D) to the state before the first word, tensors (N,1,...), and the attention's cache, tensors (N,...)."""
        cache, state = self.decoder.init_state(features)
        # A copy of the features that are in the cache as they came: an output must not be an input.
        return (*(entry.unsqueeze(1) for entry in state), *(entry.clone() if entry is features else entry for entry in cache))


class Step(nn.Module):
    """One word further, as a graph."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        self.entries = len(decoder.cell.state_names)

    def forward(self, token_ids: Tensor, *state_and_cache: Tensor) -> tuple[Tensor, ...]:
        """Token ids (N,G), the state, tensors (N,G,...), and the cache to log-probabilities (N,G,V), alpha (N,G,L) and the new state."""
        shape = token_ids.shape
        state = tuple(entry.flatten(0, 1) for entry in state_and_cache[: self.entries])
        logits, state, alpha = self.decoder.step(token_ids.flatten(), state, state_and_cache[self.entries :])
        results = (logits.log_softmax(-1), alpha, *state)
        return tuple(result.unflatten(0, shape) for result in results)


@torch.no_grad()
def record_graphs(network: CaptionModel, image_size: int) -> dict[str, RecordedGraph]:
    """The three graphs of a network in eval mode and float32.

    Raises:
        InputError: torch.export cannot record a part, such as an attention that samples.
    """
    if getattr(network.decoder.attention, "mode", None) == "sample":
        raise InputError("hard attention that samples has no fixed graph: train or save the model with attention_options '{mode: argmax}'")
    decoder, encoder = network.decoder, FeaturesOf(network.encoder.with_folded_batchnorm())
    pixels = torch.zeros(PHOTOS, 3, image_size, image_size, dtype=torch.uint8)
    features = torch.randn(PHOTOS, LOCATIONS, network.encoder.channels)
    state, cache = _first_tensors(decoder, features)
    rows = [(name, entry.repeat_interleave(HYPOTHESES, 1), ROWS) for name, entry, _ in state]
    step_inputs = [(TOKEN_IDS, torch.ones(PHOTOS, HYPOTHESES, dtype=torch.long), ROWS), *rows, *cache]
    step_outputs = [(LOG_PROBS, ROWS), (ALPHA, {**ROWS, 2: "locations"}), *((NEXT + name, ROWS) for name, _, _ in state)]
    return {
        ENCODER: _record("encoder", encoder, [(PIXELS, pixels, {0: "photos"})], [(FEATURES, {0: "photos"})]),
        FIRST_STATE: _record(
            "attention",
            FirstState(decoder),
            [(FEATURES, features, {0: "photos", 1: "locations"})],
            [(name, axes) for name, _, axes in (*state, *cache)],
        ),
        STEP: _record("attention or cell", Step(decoder), step_inputs, step_outputs),
    }


def _first_tensors(decoder: Decoder, features: Tensor) -> tuple[Example, Example]:
    """State and cache for some features; an axis of the cache that is as long as there are locations is free."""
    entries = len(decoder.cell.state_names)
    first, longer = (FirstState(decoder)(each) for each in (features, torch.randn(PHOTOS, OTHER_LOCATIONS, features.shape[-1])))
    state = [(f"state_{name}", entry, {0: "photos"}) for name, entry in zip(decoder.cell.state_names, first, strict=False)]
    cache = []
    for n, (entry, other) in enumerate(zip(first[entries:], longer[entries:], strict=True)):
        locations = {axis: "locations" for axis in range(1, entry.dim()) if entry.shape[axis] != other.shape[axis]}
        cache.append((f"cache_{n}", entry, {0: "photos", **locations}))
    return state, cache


def _record(part: str, module: nn.Module, inputs: Example, outputs: Sequence[tuple[str, Axes]]) -> RecordedGraph:
    """Record a module; `part` is what its error names."""
    tensors = tuple(tensor for _, tensor, _ in inputs)
    shapes: list[Any] = [{axis: FREE[name] for axis, name in axes.items()} for _, _, axes in inputs]
    # *state_and_cache is one argument of the signature.
    shapes = shapes if len(shapes) == 1 else [shapes[0], tuple(shapes[1:])]
    try:
        program = torch.export.export(module.eval(), tensors, dynamic_shapes=tuple(shapes))
        results = module(*tensors)
    except Exception as error:  # of many types, by what a user's own part does
        raise InputError(f"the model's {part} cannot be exported ({one_line(error)}): caption with the model folder itself") from error
    values = [results] if isinstance(results, Tensor) else results
    named = [(name, value, axes) for (name, axes), value in zip(outputs, values, strict=True)]
    return RecordedGraph(program, [_spec(*each) for each in inputs], [_spec(*each) for each in named])


def _spec(name: str, tensor: Tensor, axes: Axes) -> TensorSpec:
    return TensorSpec(name, str(tensor.dtype).removeprefix("torch."), [axes.get(axis, size) for axis, size in enumerate(tensor.shape)])
