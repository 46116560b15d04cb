"""Cells with a normaliser inside."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, relu, sigmoid, tanh
from torch.nn import functional as F

from showattend.cells.base import RecurrentCell, State
from showattend.cells.registry import register


@register("layer_norm_lstm")
class LayerNormLSTM(RecurrentCell):
    """The LSTM with layer normalisation, of all gates' pre-activations together.

    a = LN(W x) + LN(U h) + b                (gains gain_x and gain_h, no shifts: b is there)
    i, f, o = s(a_i), s(a_f), s(a_o)
    c = f * c + i * tanh(a_g)
    h = o * tanh(LN(c))                      (gain_c and shift_c)

    Ba, Kiros & Hinton 2016, eq. 20-22.
    """

    gates = ("i", "f", "g", "o")
    bias_beside_x = False
    state_names = ("h", "c")
    retention = ("f", +1)
    equation = "lstm with a = LN(W x) + LN(U h) + b and h = s(o)*tanh(LN(c))"
    source = "Ba et al. 2016"

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.gain_x = self.new_vector(4, value=1.0)
        self.gain_h = self.new_vector(4, value=1.0)
        self.gain_c = self.new_vector(value=1.0)
        self.shift_c = self.new_vector()

    def step(self, projected: Tensor, state: State) -> State:
        h, c = state
        width = self.gain_x.shape
        heard = F.layer_norm(F.linear(h, self.weight_hh), width, self.gain_h, self.bias)
        i, f, g, o = (F.layer_norm(projected, width, self.gain_x) + heard).chunk(4, -1)
        i, f, o = sigmoid(i), sigmoid(f), sigmoid(o)
        self.observe(i=i, f=f, o=o)
        c = f * c + i * tanh(g)
        return o * tanh(F.layer_norm(c, c.shape[-1:], self.gain_c, self.shift_c)), c


@register("ligru")
class LiGRU(RecurrentCell):
    """The light GRU: no reset, ReLU, and batch normalisation of what x says.

    z = s(BN(W x) + U h)
    h~ = relu(BN(W x) + U h)
    h = z * h + (1 - z) * h~

    Ravanelli et al. 2018, eq. 9-11. BN (gain, and bias as its shift) takes its statistics over the rows of one step in training; a
    lone row, and every row after training, is normalised by the running ones.
    """

    gates = ("z", "h~")
    bias_beside_x = False
    retention = ("z", +1)
    running_mean: Tensor
    running_var: Tensor
    equation = "z = s(BN(W x) + U h);  h = z*h + (1-z)*relu(BN(W x) + U h)"
    source = "Ravanelli et al. 2018"

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.gain = self.new_vector(2, value=1.0)
        self.register_buffer("running_mean", torch.zeros(2 * hidden_size))
        self.register_buffer("running_var", torch.ones(2 * hidden_size))

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        by_batch = self.training and projected.shape[0] > 1
        heard = F.batch_norm(projected, self.running_mean, self.running_var, self.gain, self.bias, by_batch)
        z, candidate = (heard + F.linear(h, self.weight_hh)).chunk(2, -1)
        z, candidate = sigmoid(z), relu(candidate)
        self.observe(z=z)
        return (candidate + z * (h - candidate),)
