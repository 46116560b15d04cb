"""Attentions behind one contract: `make_attention(name, …)` builds one, `Attention` says what an attention is."""

from showattend.models.attention import adaptive, additive, dot, hard, mean  # noqa: F401  (importing them enters their names)
from showattend.models.attention.base import Attention, Look, Memory, Query, attention_names, make_attention, register
from showattend.models.attention.hard import HardAttention

__all__ = ["Attention", "HardAttention", "Look", "Memory", "Query", "attention_names", "make_attention", "register"]
