"""A CNN as data: what a saved model keeps of its encoder, so that it needs neither torchvision nor its time to be built again.

To import torchvision and trace one of its networks takes longer than to caption a photo. A blueprint is what comes out of that: the calls
from the image to the grid, in their order. It is JSON, holds no weights, and can name only the modules, functions and methods that are
listed here, so that a model folder from anywhere is safe to read.
"""

import copy
import inspect
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.fx import Graph, GraphModule, Node, symbolic_trace
from torch.nn import functional as F

GraphSpec = dict[str, Any]  # see `draw`

MODULES: dict[str, type[nn.Module]] = {
    part.__name__: part
    for part in (
        *(nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.LayerNorm, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d),
        *(nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Sigmoid, nn.Hardswish, nn.Hardsigmoid),
    )
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        *(operator.add, operator.mul, operator.floordiv, operator.getitem, torch.cat, torch.permute, torch.transpose, torch.unsqueeze),
        *(F.relu, F.layer_norm, F.avg_pool2d, F.max_pool2d),
    )
}
METHODS = {name: name for name in ("chunk", "contiguous", "permute", "size", "view")}
PARAMETER = "Parameter"  # a part that is no module
# torchvision's function that hands on its input where nothing learns.
IDLE = "stochastic_depth"


def draw(network: GraphModule) -> GraphSpec | None:
    """The blueprint of a network from an image to {"grid": a map}, as it is in eval mode; None: it calls what has no name here.

    Returns:
        parts: what holds weights or options, by its path in the network: a module's class and those of its arguments that are not the
            default, or a parameter and its shape
        calls: in order, the name of the result, the kind and name of what is called, positional and keyword arguments; in these a string
            is an earlier result, an object a slice
        image, grid: the names of what comes in and goes out
    """
    traced = symbolic_trace(copy.deepcopy(network).eval())
    for node in traced.graph.nodes:
        if node.op == "call_function" and node.target.__name__ == IDLE:
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
    image, *nodes, output = traced.graph.nodes
    paths = {**dict(traced.named_modules()), **dict(traced.named_parameters())}
    parts = {str(node.target): _part(paths[str(node.target)]) for node in nodes if node.op in ("call_module", "get_attr")}
    calls = [[node.name, node.op, _name(node), _plain(node.args), _plain(node.kwargs)] for node in nodes]
    if None in parts.values() or any(name is None for _, _, name, _, _ in calls):
        return None
    return {"image": image.name, "grid": output.args[0]["grid"].name, "parts": parts, "calls": calls}


def _part(part: nn.Module | nn.Parameter) -> list[Any] | None:
    if isinstance(part, nn.Parameter):
        return [PARAMETER, {"shape": list(part.shape)}]
    kind = type(part)
    if MODULES.get(kind.__name__) is not kind:
        return None
    # A module keeps its arguments under their names, but for `device` and `dtype`, which its weights will say.
    defaults = {name: argument.default for name, argument in inspect.signature(kind).parameters.items() if hasattr(part, name)}
    values = {name: getattr(part, name) is not None if name == "bias" else getattr(part, name) for name in defaults}
    return [kind.__name__, {name: value for name, value in values.items() if value != defaults[name]}]


def _name(node: Node) -> str | None:
    if node.op == "call_function":
        name = node.target.__name__  # type: ignore[union-attr]
        return name if FUNCTIONS.get(name) is node.target else None
    return METHODS.get(str(node.target)) if node.op == "call_method" else str(node.target)


def _plain(argument: Any) -> Any:
    """An argument of a call as JSON has it."""
    if isinstance(argument, Node):
        return argument.name
    if isinstance(argument, slice):
        return {"slice": [argument.start, argument.stop, argument.step]}
    if isinstance(argument, Mapping):
        return {name: _plain(value) for name, value in argument.items()}
    return [_plain(value) for value in argument] if isinstance(argument, list | tuple) else argument


def build(blueprint: GraphSpec) -> GraphModule:
    """The network of a blueprint, with weights of its own.

    Raises:
        KeyError: it names what is not listed here, or has not been made yet.
    """
    root, graph = GraphModule(nn.Module(), Graph()), Graph()
    for path, (kind, arguments) in blueprint["parts"].items():
        _add(root, path, kind, {name: _live(value, {}) for name, value in arguments.items()})
    paths = {path: path for path in blueprint["parts"]}
    known: dict[str, Mapping[str, Any]] = {"call_function": FUNCTIONS, "call_method": METHODS, "call_module": paths, "get_attr": paths}
    made = {blueprint["image"]: graph.placeholder(blueprint["image"])}
    for name, kind, called, args, kwargs in blueprint["calls"]:
        live = {key: _live(value, made) for key, value in kwargs.items()}
        made[name] = graph.create_node(kind, known[kind][called], _live(args, made), live, name)
    graph.output({"grid": made[blueprint["grid"]]})
    return GraphModule(root, graph)


def _add(root: GraphModule, path: str, kind: str, arguments: Mapping[str, Any]) -> None:
    if kind != PARAMETER:
        root.add_submodule(path, MODULES[kind](**arguments))
        return
    above, _, name = path.rpartition(".")
    if above not in dict(root.named_modules()):
        root.add_submodule(above, nn.Module())
    root.get_submodule(above).register_parameter(name, nn.Parameter(torch.empty(arguments["shape"])))


def _live(argument: Any, made: Mapping[str, Node]) -> Any:
    """What `_plain` made plain."""
    if isinstance(argument, str):
        return made[argument]
    if isinstance(argument, dict):
        return slice(*argument["slice"])
    return tuple(_live(value, made) for value in argument) if isinstance(argument, list) else argument
