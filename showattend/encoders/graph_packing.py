"""Packed convolutions in a network whose graph tells what follows each of them."""

from collections import Counter
from typing import Any

import torch

from showattend.encoders.graph import Call, count_uses, refs, without_calls
from showattend.encoders.graph_network import GraphNetwork
from showattend.encoders.graph_schema import FUNCTIONS
from showattend.encoders.packing import round_weights
from showattend.ops.packed_convolution import PackedConv2d, can_pack, is_activation


def pack_graph(network: GraphNetwork, dtype: torch.dtype | None) -> GraphNetwork:
    """A copy for inference in which each activation behind a convolution, that nothing else takes, is part of it.

    Args:
        dtype: of the operands of products; None: that of the weights
    """
    graph = network.graph
    uses, targets = count_uses(graph), Counter(call.target for call in graph.calls)
    convs = {
        call.result: call for call in graph.calls if call.kind == "call_module" and can_pack(network.get_submodule(call.target), dtype)
    }
    activations, joined = dict[str, Any](), dict[str, str]()
    for call in graph.calls:
        conv, function = convs.get(next(refs(call), "")), _function(network, call)
        if conv and is_activation(function) and uses[conv.result] == targets[conv.target] == 1:
            activations[conv.target] = function
            joined[call.result] = conv.result
    packed = GraphNetwork(without_calls(graph, joined), network.state_dict())
    for path in {conv.target for conv in convs.values()}:
        conv2d: Any = packed.get_submodule(path)
        packed.replace(path, PackedConv2d(conv2d, activations.get(path), dtype))
    round_weights(packed, dtype)
    return packed.eval().requires_grad_(False)


def _function(network: GraphNetwork, call: Call) -> Any:
    """The module or function that is called."""
    if call.kind == "call_module":
        return network.get_submodule(call.target)
    return FUNCTIONS[call.target].run if call.kind == "call_function" else None
