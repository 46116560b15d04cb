"""The graph of an encoder, and its check: the file is not trusted, so `read_spec` accepts only what `graph_schema` lists."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import nn

from showattend.encoders.graph_arguments import NAME, Check, Ref, result_ref, sequence, to_json
from showattend.encoders.graph_schema import CHANNELS, FUNCTIONS, METHODS, MODULES, PARAMETER, SHAPE, Operation
from showattend.errors import InputError

MAX_CALLS = 10_000
PATH = re.compile(r"[A-Za-z0-9_-]{1,100}(\.[A-Za-z0-9_-]{1,100}){0,20}")


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


def read_spec(spec: Any) -> Graph:
    """Check a graph in the JSON form that `Graph.to_spec` gives, and build it.

    Args:
        spec: input and output, the names of the image and of the feature map; channels of the map; parts, by their path a module's class
            and those of its arguments that are not the default, or a parameter and its shape; calls, in order the name of the result, kind
            and name of what is called, positional and keyword arguments

    Raises:
        InputError: anything is not as listed in `graph_schema`.
    """
    try:
        _keys(spec, ("input", "output", "channels", "parts", "calls"))
        parts = spec["parts"]
        if not isinstance(parts, dict) or len(parts) > MAX_CALLS:
            raise ValueError(f"parts is no object of at most {MAX_CALLS}")
        graph_parts = {path: _read_part(path, part) for path, part in parts.items()}
        calls = sequence(lambda call: call, 1, MAX_CALLS)(spec["calls"])
        known = {_check("input", result_ref, spec["input"]).name}
        graph_calls = tuple(_read_call(call, graph_parts, known) for call in calls)
        if _check("output", result_ref, spec["output"]).name not in known:
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
        return Operation(nn.Identity, {"input": result_ref}, 1) if kind == "call_module" else Operation(nn.Identity, {}, 0)
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


def count_uses(graph: Graph) -> Counter[str]:
    """How many calls take each result; that the graph gives one counts too."""
    return Counter([*(name for call in graph.calls for name in refs(call)), graph.output])


def without_calls(graph: Graph, results: Mapping[str, str]) -> Graph:
    """The graph without some calls, given by their results; what takes one of these takes the result that stands beside it."""
    named = {name: Ref(other) for name, other in results.items()}
    calls = [
        call._replace(args=_rename(call.args, named), kwargs={key: _rename(value, named) for key, value in call.kwargs.items()})
        for call in graph.calls
        if call.result not in results
    ]
    return replace(graph, calls=tuple(calls), output=results.get(graph.output, graph.output))


def _rename(value: Any, named: Mapping[str, Ref]) -> Any:
    if isinstance(value, Ref):
        return named.get(value.name, value)
    return tuple(_rename(item, named) for item in value) if isinstance(value, tuple) else value


def refs(call: Call) -> Iterator[str]:
    """The names of the results that a call takes."""
    for value in (*call.args, *call.kwargs.values()):
        for item in value if type(value) is tuple else (value,):
            if isinstance(item, Ref):
                yield item.name
