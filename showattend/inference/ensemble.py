"""One or several models that caption the same photos, ready on a device."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

from showattend.decoding import GenerationConfig, Hypotheses, State, StepFunction, ensemble_step, search
from showattend.encoders import Encoder, EncoderOutput
from showattend.encoders.feature_extractor import FeatureExtractor
from showattend.errors import InputError
from showattend.models.inputs import Features
from showattend.ops.cuda_graphs import GraphedInference
from showattend.ops.fusing import SEARCH_ELEMENTS, TYPICAL_TOKENS
from showattend.ops.onednn import multiplies_bfloat16
from showattend.pretrained import Pretrained

# For each model, a function that waits for its encoder and returns the features.
PendingFeatures = list[Callable[[], EncoderOutput]]


class EnsembleOutput(NamedTuple):
    """Hypotheses for N photos, and the shape of the grid that their alphas belong to."""

    hypotheses: Hypotheses
    grid_shape: tuple[int, int]


class Ensemble:
    """Models whose next-word probabilities are averaged; one model alone is the usual case.

    Args:
        models: of one vocabulary and one preprocessing; they are moved to the device
        dtype: of the operands of products, bfloat16, or int8 in the decoders alone, with all else in float32; None: that of the weights

    Raises:
        InputError: the models do not fit together, or int8 does not work here.
    """

    def __init__(self, models: Sequence[Pretrained], device: torch.device, *, dtype: torch.dtype | None = None) -> None:
        _check_compatible(models)
        self.models = models
        # Weights of a training in double precision would not fit to operands of less.
        self.networks = [(model.network.float() if dtype else model.network).to(device).eval() for model in models]
        self.device, self.dtype = device, dtype
        self.autocast_dtype = dtype if dtype is not None and dtype.itemsize == 2 else None
        # Decoders of int8 round the features to bfloat16 in any case.
        with_int8 = torch.bfloat16 if dtype == torch.int8 and device.type == "cpu" and multiplies_bfloat16() else None
        self.extractors = _make_extractors([network.encoder for network in self.networks], self.autocast_dtype or with_int8)
        self.decoders = [network.inference_decoder(dtype) for network in self.networks]
        self.is_fused = False
        self.neighbors = models[0].neighbors and models[0].neighbors.to(device)
        self.graphed_searches: dict[GenerationConfig, GraphedInference] = {}

    def fuse(self) -> None:
        """Compile the networks, and on a GPU capture the search in CUDA graphs from now on.

        Raises:
            InputError: torch.compile fails on this machine.
        """
        if self.is_fused:
            return
        for network in self.networks:
            network.fuse()
        self.decoders = [network.inference_decoder(self.dtype) for network in self.networks]
        self.is_fused = True

    def fusing_pays(self, photos: int, config: GenerationConfig) -> bool:
        """Whether a search for the captions of so many photos takes so long that `fuse` saves time, see `ops.fusing`; only on a CPU."""
        rows = config.num_captions if config.sample else config.beam
        tokens = photos * rows * min(config.max_length, TYPICAL_TOKENS)
        elements = sum(model.network.elements_per_token(model.preprocessing.image_size) for model in self.models)
        return self.device.type == "cpu" and tokens * elements >= SEARCH_ELEMENTS

    def autocast(self) -> torch.autocast:
        """The context in which the decoders' modules multiply in 16 bits, where that was chosen."""
        # Without the cache of rounded weights: it ends with the context, and captured graphs would go on reading it.
        return torch.autocast(self.device.type, self.autocast_dtype, enabled=self.autocast_dtype is not None, cache_enabled=False)

    def submit(self, pixels: Tensor) -> PendingFeatures:
        """Start to encode N photos, uint8 (N,3,S,S), with each model."""
        started = {extractor: cache(extractor.submit(pixels.to(self.device))) for extractor in dict.fromkeys(self.extractors)}
        return [started[extractor] for extractor in self.extractors]

    def generate(self, encoded: Sequence[EncoderOutput], config: GenerationConfig, keys: Sequence[int] | None = None) -> EnsembleOutput:
        """Search for captions.

        Args:
            encoded: the photos by each model
            keys: see `decoding.generate`
        """
        features, (grid_shape, *_) = zip(*encoded, strict=True)
        run: Callable[..., tuple[Tensor, ...]] = partial(self._search, config, keys)
        if (
            self.is_fused
            and self.device.type == "cuda"
            and all(self.decoders)
            and not (config.sample or config.consensus or config.neighbors)
        ):
            run = self.graphed_searches.setdefault(config, GraphedInference(run))
        with torch.inference_mode(), self.autocast():
            hypotheses = Hypotheses(*run(*features))
        check_numbers(hypotheses.scores)
        return EnsembleOutput(hypotheses, grid_shape)

    def _search(self, config: GenerationConfig, keys: Sequence[int] | None, *features: Tensor) -> Hypotheses:
        """The search over the features of each model, (N,L,D)."""
        return search(self._make_step_function, features, config, keys, self.neighbors)

    def _make_step_function(self, features: Sequence[Tensor]) -> tuple[StepFunction, State]:
        """The models as one step function, and its first state."""
        members = [
            network.make_step_function(Features(own_features), decoder)
            for network, own_features, decoder in zip(self.networks, features, self.decoders, strict=True)
        ]
        return ensemble_step(members)


def _make_extractors(encoders: Sequence[Encoder], dtype: torch.dtype | None) -> list[FeatureExtractor]:
    """One for each encoder; those that are the same, such as of models that differ in the cell alone, share one."""
    made: list[FeatureExtractor] = []
    for encoder in encoders:
        shared = (extractor for extractor in made if _are_the_same(extractor.encoder, encoder))
        made.append(next(shared, None) or FeatureExtractor(encoder, dtype))
    return made


def _are_the_same(one: Encoder, other: Encoder) -> bool:
    """Whether two encoders give the same features: built alike, with equal weights."""
    plans = [(type(each), each.config.name, each.config.layer, each.config.stride, each.spec()) for each in (one, other)]
    if plans[0] != plans[1]:
        return False
    state, other_state = one.state_dict(), other.state_dict()
    pairs = ((tensor, other_state[name]) for name, tensor in state.items() if name in other_state)
    return state.keys() == other_state.keys() and all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


def check_numbers(log_probs: Tensor) -> None:
    """Refuse log-probabilities that are NaN, which finite weights may still give.

    Raises:
        InputError: there is one.
    """
    if log_probs.isnan().any():
        raise InputError(
            "the model gives NaN, which is no probability: its weights are damaged or too large: train again, or copy it again"
        )


def check_same_vocabulary(models: Mapping[str, Pretrained]) -> None:
    """Refuse models to be shown beside each other whose captions are made of other words.

    Args:
        models: by their names

    Raises:
        InputError: there are such models.
    """
    (first, model), *others = models.items()
    for name, other in others:
        if other.vocabulary != model.vocabulary:
            raise InputError(f"{first} and {name} have different vocabularies: give models that were trained with the same one")


def _check_compatible(models: Sequence[Pretrained]) -> None:
    first = models[0]
    for model in models[1:]:
        if model.vocabulary != first.vocabulary:
            raise InputError("the models of the ensemble have different vocabularies: give models that were trained with the same one")
        if model.preprocessing != first.preprocessing:
            raise InputError(
                f"the models of the ensemble differ in preprocessing, {first.preprocessing} and {model.preprocessing}: "
                "give models with the same one"
            )
