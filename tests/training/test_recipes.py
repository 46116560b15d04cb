"""Configuration files: recipes by name, and the encodings that editors write."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from showattend.training.recipes import FOLDER, with_config_paths

TEXT = "runs: läuft\ndata: {root: nirgends}\n"


def test_a_recipe_s_name_becomes_its_path_and_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = str(FOLDER / "flickr8k.yaml")
    with with_config_paths(["--config", "flickr8k", "--config=configs/flickr8k.yaml", "--name", "flickr8k"]) as arguments:
        assert arguments == ["--config", recipe, f"--config={recipe}", "--name", "flickr8k"]
    Path("flickr8k").write_text("{}")
    with with_config_paths(["-c", "flickr8k"]) as arguments:
        assert arguments == ["-c", "flickr8k"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_a_configuration_is_read_in_the_encoding_that_it_has(encoding: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(TEXT.encode(encoding))
    with with_config_paths([f"--config={path}"]) as (argument,):
        copy = Path(argument.partition("=")[2])
        assert copy.name == "mine.yaml"
        assert copy.read_text(encoding="utf-8-sig") == TEXT
    assert copy == path or not copy.exists()
    if encoding == "utf-16":
        assert "no folder at nirgends" in refused("fit", "--config", path)


def test_what_the_shell_opens_is_read_once_for_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.write(writer, TEXT.encode("utf-16"))
    os.close(writer)
    pipe = f"/dev/fd/{reader}"
    monkeypatch.setattr("sys.argv", command := ["showattend", "fit", "--config", pipe, "--name", "a"])
    with with_config_paths(command[2:4]) as (_, path):
        assert Path(path).read_text(encoding="utf-8-sig") == TEXT
        assert Path(path).name == str(reader)
        assert [*command[:3], *command[4:]] == [*sys.argv[:3], *sys.argv[4:]]
        with with_config_paths(sys.argv[2:]) as (_, again, *rest):  # as a process that Lightning starts
            assert Path(again).read_text(encoding="utf-8-sig") == TEXT
            assert rest[:2] == ["--name", "a"]
    assert sys.argv == command
    os.close(reader)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data:\n  root: a\n  min_count: 1\n  root: b\n", "line 2: 'root' stands in it twice"),
        ('{"data": {"root": "a", "root": "b"}}', "'root' stands in it twice"),
        ("data: [1\n", "is no YAML"),
        ("data: !!python/name:os.system\n", "could not determine a constructor"),
        ("[" * 20_000, "nested too deeply"),
    ],
)
def test_a_configuration_that_is_no_plain_yaml_is_one_line(text: str, said: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert said in refused("fit", "--config", path)
    assert said in refused("study", "--config", path)


def test_a_configuration_in_an_unknown_encoding_is_one_line(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "mine.yaml").write_bytes("имя: собака".encode("koi8-r"))
    assert "mine.yaml: byte 0 is not UTF-8" in refused("fit", "--config", tmp_path / "mine.yaml")
