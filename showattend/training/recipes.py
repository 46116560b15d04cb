"""The configurations that come with the package: `--config flickr8k` is the packaged configs/flickr8k.yaml."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from showattend.data.text_files import read_decoded
from showattend.files import check_readable

FOLDER = Path(__file__).parents[1] / "configs"
OPTIONS = ("--config", "-c")


def recipe_names() -> list[str]:
    """The names of the packaged configurations."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@contextmanager
def with_config_paths(arguments: Sequence[str]) -> Iterator[list[str]]:
    """A command line in which what stands after `--config` is the path of a file in UTF-8.

    A recipe's name becomes its path; a file of that name comes first. Within the context a file in another encoding, such as UTF-16, has
    a copy of the same name.

    Raises:
        InputError: the encoding of a file cannot be recognised.
    """
    with tempfile.TemporaryDirectory(prefix="showattend-") as folder:
        yield list(_replaced(arguments, Path(folder)))


def _replaced(arguments: Sequence[str], folder: Path) -> Iterator[str]:
    previous = ""
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if previous in OPTIONS:
            yield _as_utf8(recipe_path(argument), folder)
        elif equals and option in OPTIONS:
            yield f"{option}={_as_utf8(recipe_path(value), folder)}"
        else:
            yield argument
        previous = argument


def _as_utf8(name: str, folder: Path) -> str:
    """The path of a file, or of a copy in UTF-8 in a folder; a name without a file as it is."""
    path = Path(name)
    if not path.is_file():
        return name
    text, encoding = read_decoded(path)
    if encoding == "utf-8":  # a mark before it does no harm
        return name
    copy = Path(tempfile.mkdtemp(dir=folder)) / path.name
    copy.write_text(text, encoding="utf-8", newline="")
    return str(copy)


def recipe_path(name: str) -> str:
    """The path of a recipe; any other value as it is. `configs/NAME.yaml` is a recipe too, for those without a clone."""
    check_readable(Path(name))
    if Path(name).is_file():
        return name
    recipe = name.removeprefix("configs/").removesuffix(".yaml")
    return str(FOLDER / f"{recipe}.yaml") if recipe in recipe_names() else name
