"""The configurations that come with the package: `--config flickr8k` is the packaged configs/flickr8k.yaml."""

import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from showattend.data.text_files import read_decoded
from showattend.data.yaml_files import parse_yaml
from showattend.errors import unknown_name
from showattend.files import check_readable, writable

FOLDER = Path(__file__).parents[1] / "configs"
OPTIONS = ("--config", "-c")
SECTIONS = ("--data", "--model", "--trainer")  # whose values may be files too


def recipe_names() -> list[str]:
    """The names of the packaged configurations."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@contextmanager
def with_config_paths(arguments: Sequence[str]) -> Iterator[list[str]]:
    """A command line in which what stands after `--config` is the path of a file in UTF-8.

    A recipe's name becomes its path; a file of that name comes first. Within the context a file in another encoding, such as UTF-16, has
    a copy of the same name. So has what the shell opens, `<(command)`, of any option: it can be read only once, and by one process. The
    processes that Lightning starts get their options from `sys.argv`, where the copies are named as well.

    Raises:
        InputError: the encoding of a file cannot be recognised, or it is no YAML (JSON is YAML too).
    """
    before = sys.argv
    with tempfile.TemporaryDirectory(prefix="showattend-") as folder:
        copies: dict[str, str] = {}
        without_pipes = [_with_copy(argument, copies, Path(folder)) for argument in arguments]
        sys.argv = [copies.get(argument, argument) for argument in before]
        try:
            yield list(_replaced(without_pipes, Path(folder)))
        finally:
            sys.argv = before


def _with_copy(argument: str, copies: dict[str, str], folder: Path) -> str:
    """An argument with the path of a copy where it names a pipe, which is read at its first mention."""
    option, equals, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
    if argument not in copies and _is_pipe(Path(value)):
        copy = Path(tempfile.mkdtemp(dir=folder)) / Path(value).name
        with writable(copy):
            copy.write_bytes(Path(value).read_bytes())
        copies[argument] = f"{option}{equals}{copy}"
    return copies.get(argument, argument)


def _is_pipe(path: Path) -> bool:
    """Whether a path is a pipe that may be read; a named one may not, see `check_readable`."""
    with suppress(OSError, ValueError):
        if stat.S_ISFIFO(path.stat().st_mode):
            check_readable(path)
            return True
    return False


def _replaced(arguments: Sequence[str], folder: Path) -> Iterator[str]:
    previous = ""
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if previous in (*OPTIONS, *SECTIONS):
            yield _as_utf8(recipe_path(argument) if previous in OPTIONS else argument, folder)
        elif equals and option in (*OPTIONS, *SECTIONS):
            yield f"{option}={_as_utf8(recipe_path(value) if option in OPTIONS else value, folder)}"
        else:
            yield argument
        previous = argument


def _as_utf8(name: str, folder: Path) -> str:
    """The path of a file, or of a copy in UTF-8 in a folder; a name without a file as it is."""
    path = Path(name)
    if not path.is_file():
        return name
    text, encoding = read_decoded(path)
    parse_yaml(text, path)  # jsonargparse would take the last of two values of one name
    if encoding == "utf-8":  # a mark before it does no harm
        return name
    copy = Path(tempfile.mkdtemp(dir=folder)) / path.name
    copy.write_text(text, encoding="utf-8", newline="")
    return str(copy)


def recipe_path(name: str) -> str:
    """The path of a recipe; any other value as it is. `configs/NAME.yaml` is a recipe too, for those without a clone.

    Raises:
        InputError: it is neither a file nor a recipe.
    """
    check_readable(Path(name))
    if Path(name).is_file():
        return name
    recipe = name.removeprefix("configs/").removesuffix(".yaml")
    if recipe not in recipe_names() and recipe.replace("_", "").isalnum():  # no path
        raise unknown_name("recipe", recipe, recipe_names())
    return str(FOLDER / f"{recipe}.yaml") if recipe in recipe_names() else name
