"""Configuration dataclasses check their own fields, wherever the values come from."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from showattend.config_checks import check_choice, check_range, check_types, from_mapping
from showattend.errors import InputError


@dataclass(frozen=True)
class Inner:
    section: ClassVar[str] = "inner"
    name: str = "red"

    def __post_init__(self) -> None:
        check_types(self)
        check_choice(self, "name", ("red", "blue"))


@dataclass(frozen=True)
class Outer:
    section: ClassVar[str] = "outer"
    size: int
    share: float = 0.5
    limit: int | None = None
    fast: bool = False
    ids: tuple[int, ...] = ()
    options: dict[str, Any] | None = None
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "size", "limit", minimum=1)
        check_range(self, "share", minimum=0, below=1)


def test_values_of_the_declared_types_and_ranges_are_accepted() -> None:
    config = Outer(3, share=0, limit=2, ids=(1, 2), options={"heads": 4})
    assert config.share == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": None}, "outer.size is null: give a whole number"),
        ({"size": True}, "outer.size is true: give a whole number"),
        ({"size": 3.0}, "outer.size is 3.0: give a whole number"),
        ({"share": 10**5000}, "outer.share is an integer of thousands of digits"),
        ({"size": "3"}, "outer.size is '3': give a whole number"),
        ({"size": 0}, "outer.size is 0: give at least 1"),
        ({"limit": 0}, "outer.limit is 0: give at least 1"),
        ({"limit": "all"}, "outer.limit is 'all': give a whole number or null"),
        ({"share": False}, "outer.share is false: give a number"),
        ({"share": 1.0}, "outer.share is 1.0: give at least 0 and less than 1"),
        ({"share": -0.1}, "outer.share is -0.1: give at least 0 and less than 1"),
        ({"share": math.nan}, "outer.share is nan: give a finite number"),
        ({"share": math.inf}, "outer.share is inf: give a finite number"),
        ({"fast": 1}, "outer.fast is 1: give true or false"),
        ({"ids": (1, True)}, "outer.ids is (1, True): give a list"),
        ({"options": 3}, "outer.options is 3: give options, {name: value} or null"),
        ({"options": {"gain": math.nan}}, "outer.options.gain is nan: give a finite number"),
        ({"inner": {"name": "green"}}, "unknown inner.name 'green': known: blue, red"),
        ({"inner": {"naem": "red"}}, "unknown option of outer.inner 'naem': did you mean 'name'? known: name"),
        ({"inner": 3}, "outer.inner is 3: give options, {name: value}"),
        ({"shar": 0.1}, "unknown option of outer 'shar': did you mean 'share'?"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_with_its_full_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        from_mapping(Outer, {"size": 3, **values})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_mapping_makes_nested_configurations_and_tuples() -> None:
    config = from_mapping(Outer, {"size": 3, "ids": [4, 5], "inner": {"name": "blue"}})
    assert config == Outer(3, ids=(4, 5), inner=Inner("blue"))


@pytest.mark.parametrize(("values", "message"), [({}, "outer lacks size"), (None, "outer is null"), ([1], "outer is")])
def test_what_is_no_whole_mapping_is_refused(values: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_mapping(Outer, values)
