"""Registry of cells: `lstm`, `gru`, … or the dotted path of a user's own cell, `my_package.cells:MyCell`."""

from showattend.cells.base import RecurrentCell
from showattend.registry import Registry

cells: Registry[RecurrentCell] = Registry("cell", RecurrentCell)
register, find_cell, cell_names = cells.register, cells.find, cells.names
