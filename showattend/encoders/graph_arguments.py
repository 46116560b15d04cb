"""Checks of the arguments in a graph: each turns a JSON value into an argument, or raises a ValueError that says what it is not."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
MAX_INDEX = 2**16

Check = Callable[[Any], Any]  # a JSON value to an argument; raises ValueError


class Ref(NamedTuple):
    """The result of an earlier call, as an argument."""

    name: str


def to_json(argument: Any) -> Any:
    """An argument as JSON has it: a string is an earlier result, {"slice": [start, stop, step]} a slice."""
    if isinstance(argument, Ref):
        return argument.name
    if isinstance(argument, slice):
        return {"slice": [argument.start, argument.stop, argument.step]}
    if isinstance(argument, Mapping):
        return {name: to_json(value) for name, value in argument.items()}
    return [to_json(value) for value in argument] if isinstance(argument, list | tuple) else argument


def integer(low: int, high: int) -> Check:
    """An integer from low to high."""

    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"is no integer from {low} to {high}")
        return value

    return check


def number(low: float, high: float) -> Check:
    """An integer or finite float from low to high."""

    def check(value: Any) -> Any:
        if type(value) not in (int, float) or not low <= value <= high:
            raise ValueError(f"is no number from {low} to {high}")
        return value

    return check


def choice(*values: Any) -> Check:
    """One of a few values."""

    def check(value: Any) -> Any:
        if not any(type(value) is type(known) and value == known for known in values):
            raise ValueError(f"is none of {', '.join(map(str, values))}")
        return value

    return check


def either(*checks: Check) -> Check:
    """What the first of several checks accepts."""

    def check(value: Any) -> Any:
        for one in checks:
            try:
                return one(value)
            except ValueError as error:
                last = error
        raise last

    return check


def sequence(item: Check, least: int, most: int) -> Check:
    """A list of `least` to `most` items."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise ValueError(f"is no list of {least} to {most}")
        return tuple(map(item, value))

    return check


def result_ref(value: Any) -> Ref:
    """The name of an earlier result."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError("is no name of an earlier result")
    return Ref(value)


def slice_of(value: Any) -> slice:
    """{"slice": [start, stop, step]}."""
    if not isinstance(value, dict) or set(value) != {"slice"}:
        raise ValueError("is no slice")
    return slice(*sequence(either(choice(None), integer(-MAX_INDEX, MAX_INDEX)), 3, 3)(value["slice"]))
