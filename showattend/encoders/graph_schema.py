"""What the graph of a saved encoder may contain: a whitelist of modules and operations, each with the types and bounds of its arguments.

A graph comes from a file, perhaps a stranger's. `read_spec` admits nothing but what is listed here, and what it returns is data: names are
looked up in the tables below and are never evaluated.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from showattend.errors import InputError

MAX_CALLS = 10_000
MAX_CHANNELS = 2**16
MAX_KERNEL = 64  # kernels, strides, paddings and dilations
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
PATH = re.compile(r"[A-Za-z0-9_-]{1,100}(\.[A-Za-z0-9_-]{1,100}){0,20}")
PARAMETER = "Parameter"  # a part that is no module

Check = Callable[[Any], Any]  # a JSON value to an argument; raises ValueError


class Ref(NamedTuple):
    """The result of an earlier call, as an argument."""

    name: str


class Part(NamedTuple):
    """A module, or a parameter, that the graph holds."""

    kind: str
    arguments: Mapping[str, Any]


class Call(NamedTuple):
    """One step: the name of its result, what is called, and the arguments."""

    result: str
    kind: str  # call_module, call_function, call_method or get_attr
    target: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True)
class Graph:
    """A network as a list of calls from an image to a feature map."""

    input: str
    output: str
    channels: int  # of the feature map
    parts: Mapping[str, Part]  # by path
    calls: tuple[Call, ...]

    def to_spec(self) -> dict[str, Any]:
        """The JSON form, see `read_spec`."""
        parts = {path: [part.kind, to_json(part.arguments)] for path, part in self.parts.items()}
        calls = [[call.result, call.kind, call.target, to_json(call.args), to_json(call.kwargs)] for call in self.calls]
        return {"input": self.input, "output": self.output, "channels": self.channels, "parts": parts, "calls": calls}


class Operation(NamedTuple):
    """A function or method with its parameters: the first `required` must be given, `rest` checks further positional ones."""

    run: Callable[..., Any]
    parameters: Mapping[str, Check]
    required: int
    rest: Check | None = None


def to_json(argument: Any) -> Any:
    """An argument as JSON has it: a string is an earlier result, {"slice": [start, stop, step]} a slice."""
    if isinstance(argument, Ref):
        return argument.name
    if isinstance(argument, slice):
        return {"slice": [argument.start, argument.stop, argument.step]}
    if isinstance(argument, Mapping):
        return {name: to_json(value) for name, value in argument.items()}
    return [to_json(value) for value in argument] if isinstance(argument, list | tuple) else argument


def _integer(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"is no integer from {low} to {high}")
        return value

    return check


def _number(low: float, high: float) -> Check:
    def check(value: Any) -> float:
        if type(value) not in (int, float) or not low <= value <= high:
            raise ValueError(f"is no number from {low} to {high}")
        return float(value) if type(value) is float else value

    return check


def _choice(*values: Any) -> Check:
    def check(value: Any) -> Any:
        if not any(type(value) is type(known) and value == known for known in values):
            raise ValueError(f"is none of {', '.join(map(str, values))}")
        return value

    return check


def _either(*checks: Check) -> Check:
    def check(value: Any) -> Any:
        for one in checks:
            try:
                return one(value)
            except ValueError as error:
                last = error
        raise last

    return check


def _sequence(item: Check, least: int, most: int) -> Check:
    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise ValueError(f"is no list of {least} to {most}")
        return tuple(map(item, value))

    return check


def _result(value: Any) -> Ref:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError("is no name of an earlier result")
    return Ref(value)


def _slice(value: Any) -> slice:
    if not isinstance(value, dict) or set(value) != {"slice"}:
        raise ValueError("is no slice")
    return slice(*_sequence(_either(NONE, _integer(-MAX_CHANNELS, MAX_CHANNELS)), 3, 3)(value["slice"]))


NONE = _choice(None)
BOOLEAN = _choice(False, True)
CHANNELS = _integer(1, MAX_CHANNELS)
DIMENSION = _integer(-8, 8)
EPSILON = _number(0, 1)
MOMENTUM = _either(NONE, _number(0, 1))
KERNEL = _either(_integer(1, MAX_KERNEL), _sequence(_integer(1, MAX_KERNEL), 2, 2))
PADDING = _either(_integer(0, MAX_KERNEL), _sequence(_integer(0, MAX_KERNEL), 2, 2))
RESULT_OR_NUMBER = _either(_result, _number(-1e6, 1e6))
SIZE = _either(_result, _integer(-1, MAX_CHANNELS))
INDEX = _either(_integer(-MAX_CHANNELS, MAX_CHANNELS), _slice)
SHAPE = _sequence(CHANNELS, 1, 4)

_POOL = {"kernel_size": KERNEL, "stride": _either(NONE, KERNEL), "padding": PADDING}
_MAX_POOL = {**_POOL, "dilation": KERNEL, "ceil_mode": BOOLEAN, "return_indices": _choice(False)}
_AVG_POOL = {**_POOL, "ceil_mode": BOOLEAN, "count_include_pad": BOOLEAN, "divisor_override": _either(NONE, _integer(1, MAX_CHANNELS))}
_INPLACE = {"inplace": BOOLEAN}

MODULES: dict[str, tuple[type[nn.Module], Mapping[str, Check]]] = {
    "Conv2d": (
        nn.Conv2d,
        {"in_channels": CHANNELS, "out_channels": CHANNELS, "kernel_size": KERNEL, "stride": KERNEL, "padding": PADDING}
        | {"dilation": KERNEL, "groups": CHANNELS, "bias": BOOLEAN, "padding_mode": _choice("zeros")},
    ),
    "Linear": (nn.Linear, {"in_features": CHANNELS, "out_features": CHANNELS, "bias": BOOLEAN}),
    "BatchNorm2d": (
        nn.BatchNorm2d,
        {"num_features": CHANNELS, "eps": EPSILON, "momentum": MOMENTUM, "affine": BOOLEAN, "track_running_stats": BOOLEAN},
    ),
    "LayerNorm": (
        nn.LayerNorm,
        {"normalized_shape": SHAPE, "eps": EPSILON, "elementwise_affine": BOOLEAN, "bias": BOOLEAN},
    ),
    "MaxPool2d": (nn.MaxPool2d, _MAX_POOL),
    "AvgPool2d": (nn.AvgPool2d, _AVG_POOL),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d, {"output_size": KERNEL}),
    "GELU": (nn.GELU, {"approximate": _choice("none", "tanh")}),
    "Sigmoid": (nn.Sigmoid, {}),
    **{kind.__name__: (kind, _INPLACE) for kind in (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.Hardsigmoid)},
}
FUNCTIONS: dict[str, Operation] = {
    "add": Operation(operator.add, {"a": _result, "b": RESULT_OR_NUMBER}, 2),
    "mul": Operation(operator.mul, {"a": _result, "b": RESULT_OR_NUMBER}, 2),
    "floordiv": Operation(operator.floordiv, {"a": _result, "b": CHANNELS}, 2),
    "getitem": Operation(operator.getitem, {"a": _result, "b": _either(INDEX, _sequence(INDEX, 1, 4))}, 2),
    "cat": Operation(torch.cat, {"tensors": _sequence(_result, 1, 256), "dim": DIMENSION}, 1),
    "permute": Operation(torch.permute, {"input": _result, "dims": _sequence(DIMENSION, 1, 8)}, 2),
    "transpose": Operation(torch.transpose, {"input": _result, "dim0": DIMENSION, "dim1": DIMENSION}, 3),
    "unsqueeze": Operation(torch.unsqueeze, {"input": _result, "dim": DIMENSION}, 2),
    "relu": Operation(F.relu, {"input": _result, **_INPLACE}, 1),
    "layer_norm": Operation(
        F.layer_norm,
        {"input": _result, "normalized_shape": SHAPE, "weight": _result, "bias": _result, "eps": EPSILON},
        2,
    ),
    "avg_pool2d": Operation(F.avg_pool2d, {"input": _result, **_AVG_POOL}, 2),
    "max_pool2d": Operation(F.max_pool2d, {"input": _result, **_MAX_POOL}, 2),
}
METHODS: dict[str, Operation] = {
    "chunk": Operation(Tensor.chunk, {"self": _result, "chunks": _integer(1, 256), "dim": DIMENSION}, 2),
    "contiguous": Operation(Tensor.contiguous, {"self": _result}, 1),
    "permute": Operation(Tensor.permute, {"self": _result}, 1, rest=DIMENSION),
    "size": Operation(Tensor.size, {"self": _result}, 1),
    "view": Operation(Tensor.view, {"self": _result}, 1, rest=SIZE),
}


def read_spec(spec: Any) -> Graph:
    """Check what `Graph.to_spec` wrote, as a file holds it.

    Args:
        spec: input and output, the names of the image and of the feature map; channels of the map; parts, by their path a module's class
            and those of its arguments that are not the default, or a parameter and its shape; calls, in order the name of the result, kind
            and name of what is called, positional and keyword arguments

    Raises:
        InputError: anything is not as listed in this module.
    """
    try:
        _keys(spec, ("input", "output", "channels", "parts", "calls"))
        parts = spec["parts"]
        if not isinstance(parts, dict) or len(parts) > MAX_CALLS:
            raise ValueError(f"parts is no object of at most {MAX_CALLS}")
        graph_parts = {path: _read_part(path, part) for path, part in parts.items()}
        calls = _sequence(lambda call: call, 1, MAX_CALLS)(spec["calls"])
        known = {_check("input", _result, spec["input"]).name}
        graph_calls = tuple(_read_call(call, graph_parts, known) for call in calls)
        if _check("output", _result, spec["output"]).name not in known:
            raise ValueError("output is no result of a call")
        channels = _check("channels", CHANNELS, spec["channels"])
    except ValueError as error:
        raise InputError(f"the encoder's graph is not valid: {error}") from error
    return Graph(spec["input"], spec["output"], channels, graph_parts, graph_calls)


def _keys(value: Any, names: tuple[str, ...]) -> None:
    if not isinstance(value, dict) or set(value) != set(names):
        raise ValueError(f"it is no object with {', '.join(names)}")


def _check(name: str, check: Check, value: Any) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _read_part(path: str, part: Any) -> Part:
    if not PATH.fullmatch(path) or "__" in path:
        raise ValueError(f"{path[:80]!r} is no path of a part")
    if not isinstance(part, list) or len(part) != 2 or not isinstance(part[0], str) or not isinstance(part[1], dict):
        raise ValueError(f"the part {path} is no pair of a class and its arguments")
    kind, arguments = part
    if kind == PARAMETER:
        _keys(arguments, ("shape",))
        return Part(kind, {"shape": _check(f"the shape of {path}", SHAPE, arguments["shape"])})
    if kind not in MODULES:
        raise ValueError(f"{kind[:80]!r} is no known module")
    _, checks = MODULES[kind]
    for name in arguments:
        if name not in checks:
            raise ValueError(f"{kind} has no argument {name[:80]!r}")
    return Part(kind, {name: _check(f"{name} of {path}", checks[name], value) for name, value in arguments.items()})


def _read_call(call: Any, parts: Mapping[str, Part], known: set[str]) -> Call:
    """Check one call; `known` are the results before it, to which its own is added."""
    if not isinstance(call, list) or len(call) != 5 or not all(isinstance(value, str) for value in call[:3]):
        raise ValueError("a call is no list of result, kind, target, args and kwargs")
    name, kind, target, args, kwargs = call
    if not NAME.fullmatch(name) or "__" in name or name in known:
        raise ValueError(f"{name[:80]!r} is no new name of a result")
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise ValueError(f"the call {name} has no list of args and object of kwargs")
    read = Call(name, kind, target, *_read_arguments(name, _operation(kind, target, parts), args, kwargs))
    for ref in refs(read):
        if ref not in known:
            raise ValueError(f"the call {name} takes {ref!r}, which is no earlier result")
    known.add(name)
    return read


def _operation(kind: str, target: str, parts: Mapping[str, Part]) -> Operation:
    if kind in ("call_module", "get_attr"):
        if target not in parts or (parts[target].kind == PARAMETER) != (kind == "get_attr"):
            raise ValueError(f"{target[:80]!r} is no part for {kind}")
        return Operation(nn.Identity, {"input": _result}, 1) if kind == "call_module" else Operation(nn.Identity, {}, 0)
    table = {"call_function": FUNCTIONS, "call_method": METHODS}.get(kind)
    if table is None or target not in table:
        raise ValueError(f"{target[:80]!r} of kind {kind[:80]!r} is no known operation")
    return table[target]


def _read_arguments(name: str, operation: Operation, args: list[Any], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    names = list(operation.parameters)
    positional = names[: len(args)]
    if len(args) > len(names) + (8 if operation.rest else 0):
        raise ValueError(f"the call {name} has too many arguments")
    for key in kwargs:
        if key not in names[len(args) :]:
            raise ValueError(f"the call {name} has no argument {key[:80]!r}, or has it twice")
    missing = set(names[: operation.required]) - {*positional, *kwargs}
    if missing:
        raise ValueError(f"the call {name} lacks {', '.join(sorted(missing))}")
    read = [_check(f"{key} of {name}", operation.parameters[key], value) for key, value in zip(positional, args, strict=False)]
    rest = [_check(f"an argument of {name}", operation.rest, value) for value in args[len(names) :] if operation.rest]
    return (*read, *rest), {key: _check(f"{key} of {name}", operation.parameters[key], value) for key, value in kwargs.items()}


def refs(call: Call) -> Iterator[str]:
    """The names of the results that a call takes."""
    for value in (*call.args, *call.kwargs.values()):
        for item in value if type(value) is tuple else (value,):
            if isinstance(item, Ref):
                yield item.name
