"""Sizes and choices of a decoder."""

from dataclasses import dataclass
from typing import Any

from showattend.config_checks import check_types
from showattend.errors import InputError, unknown_name

GATES = ("scalar", "vector", "none")
INITIALISATIONS = ("default", "xu2015")


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes and choices of a decoder.

    Raises:
        InputError: a size is not positive, or a name is not known.
    """

    projection_dim: int | None = None  # D, learned projection of the annotations; none: D is the encoder's
    embedding_size: int = 512  # E
    hidden_size: int = 512  # H
    attention_size: int = 512  # A
    attention: str = "soft"
    attention_options: dict[str, Any] | None = None  # of the attention's constructor
    cell: str = "lstm"
    cell_options: dict[str, Any] | None = None  # of the cell's constructor
    layers: int = 1  # of cells, one above the other
    init_layers: int = 1  # from the mean annotation to h_0 and c_0, hidden ones with ReLU and dropout
    gate: str = "scalar"  # beta, on the context: scalar (the paper's), vector (one per channel) or none
    deep_output: bool = True  # words from embedding, state and context (eq. 7), or from the state alone
    dropout: float = 0.5  # of embeddings, state and deep output, and between layers of cells
    embedding_dropout: float | None = None  # of embeddings; none: as dropout
    feature_dropout: float = 0.0  # of whole channels of the annotations, the same ones at every location
    initialisation: str = "default"  # of all that is not the cell: torch's and small embeddings, or xu2015

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("embedding_size", "hidden_size", "attention_size", "layers", "init_layers"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: give at least 1")
        for name in ("dropout", "embedding_dropout", "feature_dropout"):
            if not 0 <= (getattr(self, name) or 0.0) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: give at least 0 and less than 1")
        if self.gate not in GATES:
            raise unknown_name("gate", self.gate, GATES)
        if self.initialisation not in INITIALISATIONS:
            raise unknown_name("initialisation", self.initialisation, INITIALISATIONS)
