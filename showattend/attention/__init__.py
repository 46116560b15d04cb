"""Attentions behind one contract: `base.Attention` defines it, `make_attention` builds one from its name."""

from showattend.attention import adaptive, additive, dot_product, hard, mean  # noqa: F401  (importing them registers their names)
from showattend.attention.base import (
    Attention,
    AttentionCache,
    AttentionOutput,
    AttentionSizes,
    DecoderContext,
    attention_names,
    make_attention,
    register,
)

__all__ = [
    "Attention",
    "AttentionCache",
    "AttentionOutput",
    "AttentionSizes",
    "DecoderContext",
    "attention_names",
    "make_attention",
    "register",
]
