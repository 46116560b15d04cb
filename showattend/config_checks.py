"""Checks that a configuration dataclass makes of its own fields: declared type, range, finiteness, known names.

A dataclass calls them in `__post_init__`, so they hold for YAML, the command line, config.json and Python alike. Each raises an
`InputError` of one line with the field's full name: the `section` of the class (a ClassVar, such as "decoder"), a dot, the field.
"""

import sys
import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from showattend.errors import InputError, unknown_name

T = TypeVar("T")
# What a declared type is called in a message, and what a value of it is.
NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    None: "null",
    types.NoneType: "null",
    Path: "a path",
    dict: "options, {name: value}",
    tuple: "a list",
    list: "a list",
}


def full_name(config: object, field: str) -> str:
    """The name of a field in messages, such as decoder.hidden_size."""
    section: str = getattr(config, "section", "")
    return f"{section}.{field}" if section else field


def check_types(config: Any) -> None:
    """Refuse a value that is not of its field's declared type, and every number that is not finite.

    A whole number is accepted where a float is declared. True is no number, 3.0 no whole number and "3" neither.

    Raises:
        InputError: there is such a value.
    """
    declared = get_type_hints(type(config))
    for field in fields(config):
        value = getattr(config, field.name)
        if not _is_of_type(value, declared[field.name]):
            raise InputError(f"{full_name(config, field.name)} is {_show(value)}: give {_describe(declared[field.name])}")
        _check_finite(value, full_name(config, field.name))


def check_range(
    config: Any,
    *names: str,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> None:
    """Refuse a number outside a range; None, for a field that may be null, is inside.

    Args:
        names: fields of `config`
        minimum, maximum: bounds that are inside the range
        above, below: bounds that are outside it

    Raises:
        InputError: a field's value is outside.
    """
    for name in names:
        value = getattr(config, name)
        if value is None:
            continue
        inside = (
            (minimum is None or value >= minimum)
            and (maximum is None or value <= maximum)
            and (above is None or value > above)
            and (below is None or value < below)
        )
        if not inside:
            bounds = (("at least", minimum), ("more than", above), ("at most", maximum), ("less than", below))
            allowed = " and ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)
            raise InputError(f"{full_name(config, name)} is {_show(value)}: give {allowed}")


def check_choice(config: Any, name: str, known: Collection[str | int]) -> None:
    """Refuse a name, or a number, that is not among those known.

    Raises:
        InputError: with the nearest known name.
    """
    if getattr(config, name) not in known:
        raise unknown_name(full_name(config, name), str(getattr(config, name)), map(str, known))


def flatten(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested options by their full names, such as data.batch_size; an empty mapping is a value."""
    for key, value in options.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def from_mapping(cls: type[T], values: object, *, section: str | None = None) -> T:
    """Build a configuration dataclass, with nested ones, from what JSON or YAML holds; lists become tuples where those are declared.

    Args:
        values: field names to values; fields that are left out keep their defaults
        section: full name in messages; None: the class's own

    Raises:
        InputError: no mapping, an unknown key (with the nearest known one), a missing key, or what the dataclass refuses.
    """
    name = section or getattr(cls, "section", "") or cls.__name__
    if not isinstance(values, Mapping):
        raise InputError(f"{name} is {_show(values)}: give options, {{name: value}}")
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise unknown_name(f"option of {name}", str(key), known)
    missing = [key for key, field in known.items() if key not in values and field.default is MISSING and field.default_factory is MISSING]
    if missing:
        raise InputError(f"{name} lacks {missing[0]}: give it a value")
    declared = get_type_hints(cls)
    return cls(**{key: _converted(value, declared[key], f"{name}.{key}") for key, value in values.items()})


def _converted(value: Any, declared: Any, name: str) -> Any:
    if isinstance(declared, type) and is_dataclass(declared):
        return value if isinstance(value, declared) else from_mapping(declared, value, section=name)
    if isinstance(value, list) and get_origin(declared) is tuple:
        return tuple(value)
    return value


def _is_of_type(value: Any, declared: Any) -> bool:
    """Whether a value is of a declared type, with the items of a tuple or list."""
    if declared is Any:
        return True
    origin, arguments = get_origin(declared), get_args(declared)
    if origin in (Union, types.UnionType):
        return any(_is_of_type(value, argument) for argument in arguments)
    if declared in (None, types.NoneType):
        return value is None
    if declared is int or declared is float:
        return isinstance(value, int if declared is int else int | float) and not isinstance(value, bool)
    if origin in (tuple, list):
        return isinstance(value, origin) and all(_is_of_type(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    return isinstance(value, declared)


def _check_finite(value: Any, name: str) -> None:
    """Also inside lists and mappings of options."""
    if isinstance(value, int | float) and not abs(value) <= sys.float_info.max:  # whole numbers may be larger than any float
        raise InputError(f"{name} is {_show(value)}: give a finite number")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_finite(item, f"{name}.{key}")
    elif isinstance(value, tuple | list):
        for item in value:
            _check_finite(item, name)


def _describe(declared: Any) -> str:
    """A declared type in words: a whole number, or null."""
    if get_origin(declared) in (Union, types.UnionType):
        return " or ".join(_describe(argument) for argument in get_args(declared))
    plain = get_origin(declared) or declared
    return NAMES.get(plain, f"a {getattr(plain, '__name__', plain)}")


def _show(value: object) -> str:
    """A value as YAML writes it, cut to one short line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        text = " ".join((repr(value) if isinstance(value, str) else str(value)).split())
    except ValueError:  # Python spells no integer of more than some thousand digits
        return "an integer of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}…"
