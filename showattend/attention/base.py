"""What an attention is to the decoder: something that looks at photos, and may keep what no word changes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from showattend.errors import InputError
from showattend.registry import Registry

# What is made once of N photos: tensors whose first axis is N.
AttentionCache = tuple[Tensor, ...]


@dataclass(frozen=True)
class Sizes:
    """Channels of what meets in an attention."""

    feature: int  # D
    hidden: int  # H
    embedding: int  # E
    attention: int  # A


class DecoderContext(NamedTuple):
    """What the decoder knows before it looks; N photos with G rows each.

    h: the cell's state h_{t-1}, (N,G,H)
    c: what the cell remembers c_{t-1}, or h where it has no other memory, (N,G,H)
    word: embedding of the last word, (N,G,E)
    """

    h: Tensor
    c: Tensor
    word: Tensor


class AttentionOutput(NamedTuple):
    """What the decoder sees.

    context: annotation z-hat, (N,G,D)
    alpha: weights on the locations, (N,G,L); what a row lacks to 1 was spent on not looking
    choice: log-probability of the location that was drawn, (N,G), zero where none was; None: this attention draws none
    """

    context: Tensor
    alpha: Tensor
    sampled_log_prob: Tensor | None = None


class Attention(nn.Module, ABC):
    """Where to look before a word is said.

    A subclass takes the sizes and, as keyword arguments, its options. N photos with G rows each; nothing that belongs to a
    photo is repeated for its rows.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()

    @abstractmethod
    def precompute(self, features: Tensor) -> AttentionCache:
        """What no word changes, made once.

        Args:
            features: annotations a_i, (N,L,D)

        Returns:
            tensors (N, ...)
        """

    @abstractmethod
    def forward(self, memory: AttentionCache, query: DecoderContext) -> AttentionOutput:
        """Look once for every row.

        Args:
            memory: what `remember` made of the N photos
            query: the decoder's state, (N,G,·)
        """

    def set_inference_mode(self, mode: str) -> None:
        """Choose how the context vector is computed outside training; for an attention that has several ways to do so.

        Raises:
            InputError: it has no such mode, or no modes at all.
        """
        raise InputError(f"an attention mode is for hard attention, and this model has {type(self).__name__}: leave out '{mode}'")


attentions: Registry[Attention] = Registry("attention", Attention)  # type: ignore[type-abstract]
register, attention_names = attentions.register, attentions.names


def make_attention(name: str, sizes: Sizes, options: Mapping[str, Any] | None = None) -> Attention:
    """An attention of a name or a dotted path, `my_package.attention:MyAttention`.

    Args:
        options: of the attention's constructor, such as {"heads": 4}

    Raises:
        InputError: an unknown name or option, or a value that the attention refuses.
    """
    attentions.check_options(name, options or {})
    return attentions.find(name)(sizes, **(options or {}))
