"""Recurrent cells with one contract, `RecurrentCell`, built by name with `make_cell`."""

# Importing a module of cells registers them.
from showattend.cells import depth_gated, gru, lstm, normalised, parallelizable, peephole, peephole_variants, ungated  # noqa: F401
from showattend.cells.base import RecurrentCell, State, recording_gates
from showattend.cells.registry import cell_names, find_cell, register
from showattend.cells.stack import Stack, make_cell
from showattend.cells.torch_weights import load_torch_weights

__all__ = ["RecurrentCell", "Stack", "State", "cell_names", "find_cell", "load_torch_weights", "make_cell", "recording_gates", "register"]
