"""Weights of torch's own cells for ours."""

import torch
from torch import nn

from showattend.cells.base import RecurrentCell
from showattend.cells.gru import GRUResetAfter
from showattend.cells.lstm import LSTM
from showattend.cells.simple import Elman
from showattend.errors import InputError

_SAME: dict[type[nn.RNNCellBase], type[RecurrentCell]] = {nn.LSTMCell: LSTM, nn.GRUCell: GRUResetAfter, nn.RNNCell: Elman}


@torch.no_grad()
def load_torch(cell: RecurrentCell, module: nn.RNNCellBase) -> None:
    """Copy the weights of torch's `LSTMCell`, `GRUCell` or `RNNCell` into `lstm`, `gru_reset_after` or `elman`.

    Torch's two biases become one, but for the bias of the new gate of the GRU that the reset gate multiplies.

    Raises:
        InputError: the two are not the same cell, or not of the same sizes.
    """
    if not isinstance(cell, _SAME.get(type(module), ())):
        raise InputError(f"{type(module).__name__} is not {type(cell).__name__}: lstm, gru_reset_after and elman have a twin there")
    mine, theirs = tuple(cell.weight_ih.shape), tuple(module.weight_ih.shape)
    if mine != theirs:
        raise InputError(f"torch's cell has weights of {theirs}, ours of {mine}: give equal sizes")
    cell.weight_ih.copy_(module.weight_ih)
    cell.weight_hh.copy_(module.weight_hh)
    recurrent_bias = module.bias_hh.clone() if module.bias else torch.zeros_like(cell.bias)
    if isinstance(cell, GRUResetAfter):
        new = recurrent_bias[2 * cell.hidden_size :]
        cell.b_hn.copy_(new)
        new.zero_()
    cell.bias.copy_(recurrent_bias + (module.bias_ih if module.bias else 0))
