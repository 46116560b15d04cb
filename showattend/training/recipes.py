"""The configurations that come with the package: `--config flickr8k` is the packaged configs/flickr8k.yaml."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from showattend.files import check_readable

FOLDER = Path(__file__).parents[1] / "configs"
OPTIONS = ("--config", "-c")


def recipe_names() -> list[str]:
    """The names of the packaged configurations."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def with_recipe_paths(arguments: Sequence[str]) -> list[str]:
    """A command line in which the recipes' names after `--config` are paths; a file of that name comes first."""
    return list(_replaced(arguments))


def _replaced(arguments: Sequence[str]) -> Iterator[str]:
    previous = ""
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if previous in OPTIONS:
            yield _path(argument)
        elif equals and option in OPTIONS:
            yield f"{option}={_path(value)}"
        else:
            yield argument
        previous = argument


def _path(name: str) -> str:
    """The path of a recipe; any other value as it is. `configs/NAME.yaml` is a recipe too, for those without a clone."""
    check_readable(Path(name))
    if Path(name).is_file():
        return name
    recipe = name.removeprefix("configs/").removesuffix(".yaml")
    return str(FOLDER / f"{recipe}.yaml") if recipe in recipe_names() else name
