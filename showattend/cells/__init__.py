"""Recurrent cells behind one contract: `find_cell(name)` gives the class, `RecurrentCell` says what a cell is."""

from showattend.cells.base import RecurrentCell
from showattend.cells.gru import GRU
from showattend.cells.lstm import LSTM
from showattend.cells.registry import cell_names, find_cell, register

__all__ = ["GRU", "LSTM", "RecurrentCell", "cell_names", "find_cell", "register"]
