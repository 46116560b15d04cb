"""Pictures of what a model did: where it looked (`attention`), what its gates did (`gates`)."""

from showattend.visualize.attention import attention_figure, attention_map
from showattend.visualize.figures import check_format
from showattend.visualize.gates import gates_figure

__all__ = ["attention_figure", "attention_map", "check_format", "gates_figure"]
