"""Registries: names, dotted paths, and the error for an unknown or malformed one."""

from pathlib import Path

import pytest

from showattend.cells import RecurrentCell
from showattend.errors import InputError
from showattend.registry import Registry

OWN = "my_module:Mine"


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[RecurrentCell]:
    (tmp_path / "my_module.py").write_text("from showattend.cells import RecurrentCell\nclass Mine(RecurrentCell): pass\nclass Other: pass")
    monkeypatch.syspath_prepend(tmp_path)
    return Registry("cell", RecurrentCell)


def test_a_name_is_registered_once(parts: Registry[RecurrentCell]) -> None:
    mine = parts.register("mine")(parts.find(OWN))
    assert parts.names() == ["mine"]
    assert parts.find("mine") is parts.find("mine", trusted=()) is mine
    with pytest.raises(ValueError, match="'mine' is taken by Mine"):
        parts.register("mine")(mine)
    with pytest.raises(InputError, match="did you mean 'mine'"):
        parts.find("min")


def test_a_dotted_path_from_a_file_needs_trust(parts: Registry[RecurrentCell]) -> None:
    for trusted in (None, ["my_module"], [OWN]):
        assert parts.find(OWN, trusted=trusted).__name__ == "Mine"
    for trusted in ([], ["my"], ["my_module:Other"], "my_module_2"):
        with pytest.raises(InputError, match="--trust my_module "):
            parts.find(OWN, trusted=trusted)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (":x", "no dotted path"),
        ("a:", "no dotted path"),
        (":", "no dotted path"),
        ("a:b:c", "no dotted path"),
        ("../a:b", "no dotted path"),
        ("a..b:c", "no dotted path"),
        ("my_module.:Mine", "no dotted path"),
        ("os:system", "is no RecurrentCell"),
        ("my_module:Other", "is no RecurrentCell"),
        ("my_module:Missing", "cannot import"),
        ("no_such_module:Mine", "cannot import"),
    ],
)
def test_malformed_paths_are_refused_in_one_line(path: str, message: str, parts: Registry[RecurrentCell]) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parts.find(path)
    assert "\n" not in str(caught.value)
