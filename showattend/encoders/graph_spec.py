"""A traced network as a graph of data, so that a saved model needs neither the network's library nor the time to trace it again.

To import torchvision and trace one of its networks takes longer than to caption a photo.
"""

import copy
import inspect
from collections.abc import Mapping
from typing import Any

from torch import fx, nn

from showattend.encoders.graph import Graph, read_spec
from showattend.encoders.graph_arguments import Ref, to_json
from showattend.encoders.graph_schema import FUNCTIONS, METHODS, MODULES, PARAMETER
from showattend.errors import InputError

# torchvision's function that returns its input in eval mode.
IDENTITY_IN_EVAL = "stochastic_depth"


def to_graph(network: fx.GraphModule, channels: int) -> Graph:
    """The graph of a trusted network from an image to {name: a feature map}, as it is in eval mode.

    Raises:
        InputError: it calls what `graph_schema` does not list.
    """
    traced = fx.symbolic_trace(copy.deepcopy(network).eval())
    for node in traced.graph.nodes:
        if node.op == "call_function" and node.target.__name__ == IDENTITY_IN_EVAL:
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
    image, *nodes, output = traced.graph.nodes
    (grid,) = output.args[0].values()
    paths = {**dict(traced.named_modules()), **dict(traced.named_parameters())}
    parts = {str(node.target): _part(paths[str(node.target)]) for node in nodes if node.op in ("call_module", "get_attr")}
    calls = [[node.name, node.op, _target(node), _plain(node.args), _plain(node.kwargs)] for node in nodes]
    return read_spec({"input": image.name, "output": grid.name, "channels": channels, "parts": parts, "calls": calls})


def _part(part: nn.Module | nn.Parameter) -> list[Any]:
    if isinstance(part, nn.Parameter):
        return [PARAMETER, {"shape": list(part.shape)}]
    kind = type(part)
    if MODULES.get(kind.__name__, (None,))[0] is not kind:
        raise InputError(f"the encoder's network contains {kind.__name__}, which graph_schema.MODULES does not list")
    # A module keeps its arguments under their names, but for `device` and `dtype`, which its weights have.
    defaults = {name: argument.default for name, argument in inspect.signature(kind).parameters.items() if hasattr(part, name)}
    values = {name: getattr(part, name) is not None if name == "bias" else getattr(part, name) for name in defaults}
    return [kind.__name__, {name: to_json(value) for name, value in values.items() if value != defaults[name]}]


def _target(node: fx.Node) -> str:
    if node.op in ("call_module", "get_attr"):
        return str(node.target)
    name, listed = str(node.target), str(node.target) in METHODS
    if node.op == "call_function":
        name = node.target.__name__  # type: ignore[union-attr]
        listed = name in FUNCTIONS and FUNCTIONS[name].run is node.target
    if not listed:
        raise InputError(f"the encoder's network calls {name}, which graph_schema does not list")
    return name


def _plain(argument: Any) -> Any:
    """An argument of a traced call as JSON has it."""
    if isinstance(argument, fx.Node):
        return to_json(Ref(argument.name))
    if isinstance(argument, Mapping):
        return {name: _plain(value) for name, value in argument.items()}
    return [_plain(value) for value in argument] if isinstance(argument, list | tuple) else to_json(argument)
