"""Recurrent cells behind one contract: `make_cell(name, …)` builds one, `RecurrentCell` says what a cell is."""

from showattend.cells import gru, lstm, normalised, parallel, peephole, simple  # noqa: F401  (importing them enters their names)
from showattend.cells.base import RecurrentCell, State, recording_gates
from showattend.cells.registry import cell_names, find_cell, register
from showattend.cells.stack import Stack, make_cell
from showattend.cells.torch_weights import load_torch

__all__ = ["RecurrentCell", "Stack", "State", "cell_names", "find_cell", "load_torch", "make_cell", "recording_gates", "register"]
