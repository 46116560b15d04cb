"""The decoder's configuration: sizes, and which attention and cell."""

from dataclasses import dataclass
from typing import Any, ClassVar

from showattend.config_checks import check_choice, check_range, check_types

GATES = ("scalar", "vector", "none")
MAX_SIZE, MAX_LAYERS = 2**16, 1000  # far beyond what anyone trains; products of larger sizes overflow
INITIALISATIONS = ("default", "xu2015")


@dataclass(frozen=True)
class DecoderConfig:
    """Parts and sizes of a decoder, apart from the sizes that data and encoder decide.

    Args:
        projection_dim: D, a learned projection of the encoder's features; null: D is the encoder's
        embedding_size: E, channels of a word's embedding
        hidden_size: H, units of the recurrent cell
        attention_size: A, units of the attention
        attention: soft (the paper's), hard, dot, multi_head, adaptive, mean (none), or a dotted path my_package.attention:Mine
        attention_options: the attention's own: {gain: 3} above 1 makes soft, hard and adaptive prefer some locations from the
            start; {heads: 4} for multi_head; {expected: 0.5, mode: argmax} for hard
        cell: lstm, gru, peephole, … (showattend cells lists them), or a dotted path my_package.cells:MyCell
        cell_options: the cell's own, such as {initialisation: chrono} (showattend cells NAME lists them)
        layers: of cells, stacked
        init_layers: from the mean feature to h_0 and c_0; hidden ones have ReLU and dropout
        gate: beta on the context: scalar (the paper's), vector (one per channel) or none
        deep_output: tokens predicted from embedding, state and context (eq. 7), or from the state alone
        dropout: of embeddings, state and deep output, and between stacked cells
        embedding_dropout: of embeddings; null: as `dropout`
        feature_dropout: of whole channels of the features, the same ones at every location
        initialisation: of everything but the cell: default, or xu2015 (the authors' code)

    Raises:
        InputError: a value is of another type or out of range, or a name is unknown.
    """

    section: ClassVar[str] = "decoder"

    projection_dim: int | None = None
    embedding_size: int = 512
    hidden_size: int = 512
    attention_size: int = 512
    attention: str = "soft"
    attention_options: dict[str, Any] | None = None
    cell: str = "lstm"
    cell_options: dict[str, Any] | None = None
    layers: int = 1
    init_layers: int = 1
    gate: str = "scalar"
    deep_output: bool = True
    dropout: float = 0.5
    embedding_dropout: float | None = None
    feature_dropout: float = 0.0
    initialisation: str = "default"

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "projection_dim", "embedding_size", "hidden_size", "attention_size", minimum=1, maximum=MAX_SIZE)
        check_range(self, "layers", "init_layers", minimum=1, maximum=MAX_LAYERS)
        check_range(self, "dropout", "embedding_dropout", "feature_dropout", minimum=0, below=1)
        check_choice(self, "gate", GATES)
        check_choice(self, "initialisation", INITIALISATIONS)
