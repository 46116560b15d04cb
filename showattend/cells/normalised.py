"""Cells with a normaliser inside."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, relu, sigmoid, tanh
from torch.nn import functional as F

from showattend.cells.base import RecurrentCell, State
from showattend.cells.registry import register

MOMENTUM = 0.1  # of the running statistics
EPSILON = 1e-5


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
    bias_in_projection = False
    state_names = ("h", "c")
    forget_bias = ("f", +1)
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
        self.record_gates(i=i, f=f, o=o)
        c = f * c + i * tanh(g)
        return o * tanh(F.layer_norm(c, c.shape[-1:], self.gain_c, self.shift_c)), c


@register("ligru")
class LiGRU(RecurrentCell):
    """The light GRU: no reset, ReLU, and batch normalisation of what x says.

    z = s(BN(W x) + U h)
    h~ = relu(BN(W x) + U h)
    h = z * h + (1 - z) * h~

    Ravanelli et al. 2018, eq. 9-11. BN has a gain, and the bias as its shift. What x says begins alike for all captions and
    differs later, so every step has statistics of its own (Cooijmans et al. 2017, section 3), the last kept ones (`max_time`)
    serving all later steps. A lone row, and every row after training, is normalised by the running ones. The state counts t.
    """

    gates = ("z", "h~")
    bias_in_projection = False
    state_names = ("h", "t")
    recomputable = False
    forget_bias = ("z", +1)
    running_mean: Tensor
    running_var: Tensor
    equation = "z = s(BN(W x) + U h);  h = z*h + (1-z)*relu(BN(W x) + U h)"
    source = "Ravanelli et al. 2018"

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.gain = self.new_vector(2, value=1.0)
        self.register_buffer("running_mean", torch.zeros(self.max_time, 2 * hidden_size))
        self.register_buffer("running_var", torch.ones(self.max_time, 2 * hidden_size))

    def initial_state(self, h: Tensor, c: Tensor) -> State:
        return h, torch.zeros_like(h[:, :1], dtype=torch.long)

    def step(self, projected: Tensor, state: State) -> State:
        h, t = state
        normal = self._normalise(projected, t.squeeze(1).clamp(max=self.max_time - 1))
        z, candidate = (self.gain * normal + self.bias + F.linear(h, self.weight_hh)).chunk(2, -1)
        z, candidate = sigmoid(z), relu(candidate)
        self.record_gates(z=z)
        return candidate + z * (h - candidate), t + 1

    def _normalise(self, projected: Tensor, t: Tensor) -> Tensor:
        """Zero mean and unit variance over the rows, which in training are all at the same t."""
        rows = projected.shape[0]
        if self.training and rows > 1:
            var, mean = torch.var_mean(projected, 0, correction=0)
            with torch.no_grad():
                now = t[:1]
                for running, seen in ((self.running_mean, mean), (self.running_var, var * rows / (rows - 1))):
                    running.index_copy_(0, now, running[now].lerp(seen.to(running).unsqueeze(0), MOMENTUM))
        else:
            mean, var = self.running_mean[t], self.running_var[t]
        return (projected - mean) * torch.rsqrt(var + EPSILON)
