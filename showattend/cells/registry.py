"""Names for cells: `lstm`, `gru`, … or the dotted path of a cell of one's own, `my_package.cells:MyCell`."""

import importlib
import inspect
from collections.abc import Callable

from showattend.cells.base import RecurrentCell
from showattend.errors import InputError, unknown_name

_cells: dict[str, type[RecurrentCell]] = {}


def register(name: str) -> Callable[[type[RecurrentCell]], type[RecurrentCell]]:
    """Class decorator: enter a cell under a name.

    Raises:
        ValueError: the name is taken.
    """

    def enter(cell: type[RecurrentCell]) -> type[RecurrentCell]:
        if name in _cells:
            raise ValueError(f"the cell name {name!r} is taken by {_cells[name].__name__}")
        _cells[name] = cell
        return cell

    return enter


def cell_names() -> list[str]:
    """The registered names, sorted."""
    return sorted(_cells)


def find_cell(name: str) -> type[RecurrentCell]:
    """The class that a name or a dotted path stands for.

    Raises:
        InputError: no such name, or a path that leads to no RecurrentCell.
    """
    if ":" in name:
        return _import_cell(name)
    if name not in _cells:
        raise unknown_name("cell", name, _cells)
    return _cells[name]


def option_names(cell: type[RecurrentCell]) -> list[str]:
    """The options of a cell: keyword arguments of its constructor and of those that it hands the rest to."""
    constructors = [vars(base)["__init__"] for base in cell.__mro__ if issubclass(base, RecurrentCell) and "__init__" in vars(base)]
    arguments = [argument for constructor in constructors for argument in inspect.signature(constructor).parameters.values()]
    return sorted({argument.name for argument in arguments if argument.kind is argument.KEYWORD_ONLY})


def _import_cell(path: str) -> type[RecurrentCell]:
    module, _, attribute = path.partition(":")
    try:
        cell = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"cannot import the cell '{path}': {error}") from error
    if not (isinstance(cell, type) and issubclass(cell, RecurrentCell)):
        raise InputError(f"'{path}' is no RecurrentCell: derive it from showattend.cells.RecurrentCell")
    return cell
