"""Attentions behind one contract: `make_attention(name, …)` builds one, `Attention` says what an attention is."""

from showattend.attention import adaptive, additive, dot_product, hard, mean  # noqa: F401  (importing them enters their names)
from showattend.attention.base import Attention, AttentionCache, AttentionOutput, DecoderContext, attention_names, make_attention, register
from showattend.attention.hard import HardAttention

__all__ = [
    "Attention",
    "AttentionCache",
    "AttentionOutput",
    "DecoderContext",
    "HardAttention",
    "attention_names",
    "make_attention",
    "register",
]
