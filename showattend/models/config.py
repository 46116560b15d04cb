"""The decoder's configuration: sizes, and which attention and cell."""

from dataclasses import dataclass
from typing import Any, ClassVar

from showattend.config_checks import check_choice, check_range, check_types

GATES = ("scalar", "vector", "none")
INITIALISATIONS = ("default", "xu2015")


@dataclass(frozen=True)
class DecoderConfig:
    """What a decoder is built from, apart from the sizes that data and encoder decide.

    Raises:
        InputError: a value is of another type or out of range, or a name is unknown.
    """

    section: ClassVar[str] = "decoder"

    projection_dim: int | None = None  # D, a learned projection of the encoder's features; none: D is the encoder's
    embedding_size: int = 512  # E
    hidden_size: int = 512  # H
    attention_size: int = 512  # A
    attention: str = "soft"  # a registered name, or a dotted path
    attention_options: dict[str, Any] | None = None  # keyword arguments of the attention's constructor
    cell: str = "lstm"  # a registered name, or a dotted path
    cell_options: dict[str, Any] | None = None  # keyword arguments of the cell's constructor
    layers: int = 1  # of cells, stacked
    init_layers: int = 1  # from the mean feature to h_0 and c_0; hidden ones have ReLU and dropout
    gate: str = "scalar"  # beta on the context: scalar (the paper's), vector (one per channel) or none
    deep_output: bool = True  # tokens predicted from embedding, state and context (eq. 7), or from the state alone
    dropout: float = 0.5  # of embeddings, state and deep output, and between stacked cells
    embedding_dropout: float | None = None  # of embeddings; none: as `dropout`
    feature_dropout: float = 0.0  # of whole channels of the features, the same ones at every location
    initialisation: str = "default"  # of all weights but the cell's: torch's with small embeddings, or xu2015

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "projection_dim", "embedding_size", "hidden_size", "attention_size", "layers", "init_layers", minimum=1)
        check_range(self, "dropout", "embedding_dropout", "feature_dropout", minimum=0, below=1)
        check_choice(self, "gate", GATES)
        check_choice(self, "initialisation", INITIALISATIONS)
