"""A saved encoder, rebuilt from its graph and weights without the library that it came from."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from showattend.encoders.base import Encoder, EncoderConfig
from showattend.encoders.graph_network import GraphNetwork, fold_batchnorm
from showattend.encoders.graph_schema import Graph, read_spec
from showattend.encoders.grid_geometry import receptive_field_grid
from showattend.errors import InputError

NETWORK = "network."


class GraphEncoder(Encoder):
    """An encoder whose network is a graph, see `GraphNetwork`.

    Args:
        config: of the encoder that the graph was traced from
        graph: its specification (JSON), or the graph itself
        weights: its state, by the names of `state_dict`; the encoder takes these tensors themselves

    Raises:
        InputError: the specification is not valid or does not fit the weights.
    """

    network: GraphNetwork

    def __init__(self, config: EncoderConfig, graph: Mapping[str, Any] | Graph, weights: Mapping[str, Tensor]) -> None:
        graph = graph if isinstance(graph, Graph) else read_spec(graph)
        state = {name.removeprefix(NETWORK): tensor for name, tensor in weights.items() if name.startswith(NETWORK)}
        network = GraphNetwork(graph, state)
        super().__init__(config, network, channels=graph.channels, grid_geometry=receptive_field_grid(graph))
        for name, buffer in (("mean", self.mean), ("std", self.std)):
            if name not in weights or weights[name].shape != buffer.shape:
                raise InputError(f"the encoder's weights lack '{name}', one value a colour channel")
            setattr(self, name, weights[name])

    def feature_map(self, normalized: Tensor) -> Tensor:
        """Normalised photos (N,3,S,S) to the feature map (N,D,rows,columns)."""
        grid: Tensor = self.network(normalized)
        return grid

    def spec(self) -> dict[str, Any]:
        """The graph as JSON."""
        return self.network.graph.to_spec()

    def with_folded_batchnorm(self) -> "Encoder":
        """A frozen copy in eval mode, in which batch normalisation is part of the convolution before it."""
        copied = super().with_folded_batchnorm()
        copied.network = fold_batchnorm(self.network)
        return copied.requires_grad_(False)
