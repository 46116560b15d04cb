"""A saved encoder, rebuilt from its graph and weights without the library that it came from."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from showattend.encoders.base import Encoder, EncoderConfig
from showattend.encoders.graph import Graph
from showattend.encoders.graph_network import GraphNetwork, fold_batchnorm
from showattend.encoders.graph_packing import pack_graph
from showattend.encoders.grid_geometry import receptive_field_grid
from showattend.errors import InputError

NETWORK = "network."


class GraphEncoder(Encoder):
    """An encoder whose network executes a graph, see `GraphNetwork`.

    Args:
        config: of the encoder that the graph was traced from
        mean, std: its buffers of these names, (3,1,1)
    """

    network: GraphNetwork

    def __init__(self, config: EncoderConfig, network: GraphNetwork, mean: Tensor, std: Tensor) -> None:
        graph = network.graph
        super().__init__(config, network, channels=graph.channels, grid_geometry=receptive_field_grid(graph))
        self.mean, self.std = mean, std

    @classmethod
    def from_graph(cls, config: EncoderConfig, graph: Graph, weights: Mapping[str, Tensor]) -> "GraphEncoder":
        """The encoder of a graph and of its weights, by the names of `state_dict`; it takes these tensors themselves.

        Raises:
            InputError: the graph does not fit the weights.
        """
        for name in ("mean", "std"):
            if name not in weights or weights[name].shape != (3, 1, 1):
                raise InputError(f"the encoder's weights lack '{name}', one value a colour channel")
        state = {name.removeprefix(NETWORK): tensor for name, tensor in weights.items() if name.startswith(NETWORK)}
        return cls(config, GraphNetwork(graph, state), weights["mean"], weights["std"])

    def feature_map(self, normalized: Tensor) -> Tensor:
        """Normalised photos (N,3,S,S) to the feature map (N,D,rows,columns)."""
        grid: Tensor = self.network(normalized)
        return grid

    def spec(self) -> dict[str, Any]:
        """The graph as JSON."""
        return self.network.graph.to_spec()

    def with_folded_batchnorm(self) -> Encoder:
        """A frozen copy in eval mode, in which batch normalisation is part of the convolution before it."""
        copied = GraphEncoder(self.config, fold_batchnorm(self.network), self.mean.clone(), self.std.clone())
        return copied.eval().requires_grad_(False)

    def for_inference(self, dtype: torch.dtype | None = None) -> Encoder:
        """A copy with folded batch normalisation and packed convolutions, see `Encoder.for_inference`."""
        network = pack_graph(fold_batchnorm(self.network), dtype)
        return GraphEncoder(self.config, network, self.mean.clone(), self.std.clone()).eval()
