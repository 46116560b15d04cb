"""Copies the weights of torch's own cells into cells with the same equations."""

import torch
from torch import nn

from showattend.cells.base import RecurrentCell
from showattend.cells.gru import GRUResetAfter
from showattend.cells.lstm import LSTM
from showattend.cells.ungated import Elman
from showattend.errors import InputError

_EQUIVALENTS: dict[type[nn.RNNCellBase], type[RecurrentCell]] = {nn.LSTMCell: LSTM, nn.GRUCell: GRUResetAfter, nn.RNNCell: Elman}


@torch.no_grad()
def load_torch_weights(cell: RecurrentCell, module: nn.RNNCellBase) -> None:
    """Copy the weights of torch's `LSTMCell`, `GRUCell` or `RNNCell` into `lstm`, `gru_reset_after` or `elman`.

    Torch has two biases where one is enough; they are added. The exception is the candidate n of the GRU, whose second bias is
    multiplied by the reset gate and becomes `b_hn`.

    Raises:
        InputError: the two cells have different equations, or different sizes.
    """
    if not isinstance(cell, _EQUIVALENTS.get(type(module), ())) or getattr(module, "nonlinearity", "tanh") != "tanh":
        raise InputError(
            f"cannot copy the weights of {type(module).__name__} into {type(cell).__name__}: "
            "LSTMCell fits lstm, GRUCell fits gru_reset_after, RNNCell with tanh fits elman"
        )
    shape, torch_shape = tuple(cell.weight_ih.shape), tuple(module.weight_ih.shape)
    if shape != torch_shape:
        raise InputError(f"torch's cell has input weights of shape {torch_shape}, this one of {shape}: give both the same sizes")
    cell.weight_ih.copy_(module.weight_ih)
    cell.weight_hh.copy_(module.weight_hh)
    recurrent_bias = module.bias_hh.clone() if module.bias else torch.zeros_like(cell.bias)
    if isinstance(cell, GRUResetAfter):
        candidate_bias = recurrent_bias[2 * cell.hidden_size :]
        cell.b_hn.copy_(candidate_bias)
        candidate_bias.zero_()
    cell.bias.copy_(recurrent_bias + (module.bias_ih if module.bias else 0))
