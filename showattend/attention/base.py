"""The contract of an attention: it turns the features of an image and the decoder's state into one context vector.

To add one, subclass `Attention`, write `precompute` and `forward`, and decorate the class with `@register("name")`. A class of
your own package needs no registration: give its dotted path, `my_package.attention:MyAttention`. Every registered attention
goes through `tests/attention/test_contract.py`.

Shapes: N images with G rows each (captions in training, hypotheses in search), L locations, D feature channels,
H hidden units, E embedding channels, A attention units.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from showattend.errors import InputError
from showattend.ops.unroll_plan import AttentionParts
from showattend.registry import Registry

# What `precompute` keeps of N images: tensors whose first axis is N.
AttentionCache = tuple[Tensor, ...]


@dataclass(frozen=True)
class AttentionSizes:
    """Numbers of channels that an attention connects; the names are those of `DecoderConfig`."""

    projection_dim: int  # D
    hidden_size: int  # H
    embedding_size: int  # E
    attention_size: int  # A


class DecoderContext(NamedTuple):
    """The decoder's state before it attends, for all rows.

    h: hidden state h_{t-1}, (N,G,H)
    c: cell state c_{t-1}, or h_{t-1} for a cell without one, (N,G,H)
    embedding: embedding of the last token, (N,G,E)
    """

    h: Tensor
    c: Tensor
    embedding: Tensor


class AttentionOutput(NamedTuple):
    """The result of attending once in every row.

    context: z-hat_t, (N,G,D)
    alpha: weights on the locations, (N,G,L); a row sums to 1, or to less if the attention can attend to something else
    sampled_log_prob: log-probability of the sampled location, zero in rows that sampled none, (N,G);
        None: this attention never samples, or did not sample in this call
    location: index of the one location that the context comes from, (N,G); None: the context comes from all of them, or in training,
        where nothing reads it
    """

    context: Tensor
    alpha: Tensor
    sampled_log_prob: Tensor | None = None
    location: Tensor | None = None


class Attention(nn.Module, ABC):
    """Weights on the locations of an image, and the context vector that they give.

    A subclass takes `sizes` and, as keyword arguments, its options. A tensor of an image is never repeated for the rows of that image.

    Attributes:
        samples_locations: the attention samples locations in training and is trained by REINFORCE
        supports_fused_loop: `ops.decoder_loop` and `ops.decoder_step` compute the same as `precompute` and `forward`, from `fused_parts`
    """

    samples_locations: ClassVar[bool] = False

    def __init__(self, sizes: AttentionSizes) -> None:
        super().__init__()

    @abstractmethod
    def precompute(self, features: Tensor) -> AttentionCache:
        """Compute once per image what no token changes.

        Args:
            features: a_i, (N,L,D)

        Returns:
            tensors (N, ...)
        """

    @abstractmethod
    def forward(self, cache: AttentionCache, query: DecoderContext) -> AttentionOutput:
        """Attend once in every row.

        Args:
            cache: what `precompute` returned for the N images
            query: the decoder's state, tensors (N,G,·)
        """

    @property
    def supports_fused_loop(self) -> bool:
        """Whether the fused loop computes the same; see `fused_parts`."""
        return False

    def fused_parts(self) -> AttentionParts:
        """The weights and kernels that the fused loop works with, where `supports_fused_loop` is true."""
        raise NotImplementedError(f"{type(self).__name__} does not support the fused loop")

    def compile_kernels(self) -> None:
        """Compile what can be compiled; nothing by default.

        Raises:
            InputError: torch.compile fails on this machine.
        """

    def set_inference_mode(self, mode: str) -> None:
        """Choose how the context is formed outside training, for an attention with several ways.

        Raises:
            InputError: the attention has only one way, or the mode is unknown.
        """
        raise InputError(f"an attention mode is for hard attention, and this model has {type(self).__name__}: leave out '{mode}'")


attentions: Registry[Attention] = Registry("attention", Attention)  # type: ignore[type-abstract]
register, attention_names = attentions.register, attentions.names


def make_attention(name: str, sizes: AttentionSizes, options: Mapping[str, Any] | None = None) -> Attention:
    """Build an attention from its registered name or its dotted path, `my_package.attention:MyAttention`.

    Args:
        options: keyword arguments of the attention's constructor, such as {"heads": 4}

    Raises:
        InputError: the name or an option is unknown, or the attention refuses a value.
    """
    options = options or {}
    attentions.check_options(name, options)
    with attentions.refused_options(name, options):
        return attentions.find(name)(sizes, **options)
