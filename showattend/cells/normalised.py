"""Cells that normalise their pre-activations."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, relu, sigmoid, tanh
from torch.nn import functional as F

from showattend.cells.base import ParameterRoles, RecurrentCell, State, interpolate
from showattend.cells.registry import register

MOMENTUM = 0.1  # of the running statistics
EPSILON = 1e-5


@register("layer_norm_lstm")
class LayerNormLSTM(RecurrentCell):
    """LSTM with layer normalisation of the pre-activations of all gates together, and of c before the output.

        a = LN_x(W x) + LN_h(U h) + b
        i = s(a_i)
        f = s(a_f)
        o = s(a_o)
        c = f * c + i * tanh(a_g)
        h = o * tanh(LN_c(c))

    LN_x and LN_h have gains but no shifts, because b is there. LN_c has both.

    Source: Ba, Kiros & Hinton 2016, eq. 20-22.
    """

    gates = ("i", "f", "g", "o")
    bias_in_projection = False
    state_names = ("h", "c")
    forget_bias = ("f", +1)
    equation = "lstm with a = LN(W x) + LN(U h) + b and h = s(o)*tanh(LN(c))"
    source = "Ba et al. 2016"
    parameter_roles: ClassVar[ParameterRoles] = {"gain_*": "gain of LN_*", "shift_c": "shift of LN_c"}

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.gain_x = self.new_vector(4, value=1.0)
        self.gain_h = self.new_vector(4, value=1.0)
        self.gain_c = self.new_vector(value=1.0)
        self.shift_c = self.new_vector()

    def step(self, projected: Tensor, state: State) -> State:
        h, c = state
        width = self.gain_x.shape
        from_h = F.layer_norm(F.linear(h, self.weight_hh), width, self.gain_h, self.bias)
        i, f, g, o = (F.layer_norm(projected, width, self.gain_x) + from_h).chunk(4, -1)
        i, f, o = sigmoid(i), sigmoid(f), sigmoid(o)
        self.record_gates(i=i, f=f, o=o)
        c = f * c + i * tanh(g)
        return o * tanh(F.layer_norm(c, c.shape[-1:], self.gain_c, self.shift_c)), c


@register("ligru")
class LiGRU(RecurrentCell):
    """Light GRU: no reset gate, ReLU, and batch normalisation of W x.

        z = s(BN(W_z x) + U_z h)
        h~ = relu(BN(W_h x) + U_h h)
        h = z * h + (1 - z) * h~
        t = t + 1

    BN has a gain, and b as its shift. W x is distributed alike for all captions at the first step and differs later, so each
    step has its own statistics; steps beyond `max_time` share the last ones. Rows are normalised by the running statistics
    after training, and in training where there is only one row. The entry t of the state counts the steps.

    Source: Ravanelli et al. 2018, eq. 9-11; statistics per step as in Cooijmans et al. 2017, section 3.
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
    parameter_roles: ClassVar[ParameterRoles] = {"gain": "gain of BN"}

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.gain = self.new_vector(2, value=1.0)
        self.register_buffer("running_mean", torch.zeros(self.max_time, 2 * hidden_size))
        self.register_buffer("running_var", torch.ones(self.max_time, 2 * hidden_size))

    def initial_state(self, h: Tensor, c: Tensor) -> State:
        return h, torch.zeros_like(h[:, :1], dtype=torch.long)

    def step(self, projected: Tensor, state: State) -> State:
        h, t = state
        normalised = self._normalise(projected, t.squeeze(1).clamp(max=self.max_time - 1))
        z, candidate = (self.gain * normalised + self.bias + F.linear(h, self.weight_hh)).chunk(2, -1)
        z, candidate = sigmoid(z), relu(candidate)
        self.record_gates(z=z)
        return interpolate(candidate, h, z), t + 1

    def _normalise(self, projected: Tensor, t: Tensor) -> Tensor:
        """Subtract the mean and divide by the standard deviation, of this batch or of all batches before.

        Args:
            projected: W x, (B, 2*H)
            t: the step of each row, (B,); in training all rows are at the same step
        """
        rows = projected.shape[0]
        if self.training and rows > 1:
            var, mean = torch.var_mean(projected, 0, correction=0)
            self._update_running_statistics(mean, var, rows, t[:1])
        else:
            mean, var = self.running_mean[t], self.running_var[t]
        return (projected - mean) * torch.rsqrt(var + EPSILON)

    @torch.no_grad()
    def _update_running_statistics(self, mean: Tensor, var: Tensor, rows: int, t: Tensor) -> None:
        """Move the running statistics of step t, (1,), towards those of a batch; its variance is made unbiased, as in torch."""
        for running, batch in ((self.running_mean, mean), (self.running_var, var * rows / (rows - 1))):
            running.index_copy_(0, t, running[t].lerp(batch.to(running).unsqueeze(0), MOMENTUM))
