"""The contract of a recurrent cell. This file is all that is needed to write one.

A cell maps x_t = [word embedding, gated context] and its state to the next state. Each of its gates has a pre-activation
a = W x + U h + b, (B,H); all gates together are one matrix product each for W and U.

To write a cell, derive from `RecurrentCell` and give it

1. `gates`: one name for each block of pre-activations, in the order of the rows of W, U and b;
2. `state_names`: one name for each tensor of the state; the first one is the output, "h";
3. `update(activations, state)`, if U multiplies h alone for every gate: the elementwise equations. Otherwise
   `step(projected, state)`, which makes its own products of the state (then `recurrent` names the gates whose U multiplies
   h itself, and further matrices come from `new_matrix`);
4. `forget_bias`: the gate that keeps the memory, and the sign of its bias that keeps more of it;
5. a docstring (mechanism, equations, source) in the notation of `catalogue.equations`; `equation` and `source` for the table of
   cells; `parameter_roles` for its own parameters.

A state is a flat tuple of tensors whose first axis is the batch. Beam search reorders its rows without knowing the cell, so
rows must not depend on each other. Whatever else a cell needs (a clock, a normaliser) is one more entry of the state. No
Python branch may depend on the value of a tensor: `step` compiles to one graph and runs inside CUDA graphs.

    >>> class Minimal(RecurrentCell):
    ...     gates = ("f", "g")
    ...     forget_bias = ("f", -1)
    ...
    ...     def update(self, activations, state):
    ...         (h,) = state
    ...         f, g = activations.chunk(2, -1)
    ...         f = torch.sigmoid(f)
    ...         self.record_gates(f=f)
    ...         return ((1 - f) * h + f * torch.tanh(g),)
    >>> cell = Minimal(input_sizes=(300, 512), hidden_size=256)
    >>> state = cell.initial_state(h=torch.zeros(2, 256), c=torch.zeros(2, 256))
    >>> projected = cell.project(torch.zeros(2, 300), part=0) + cell.project(torch.zeros(2, 512), part=1)
    >>> cell.step(projected, state)[0].shape
    torch.Size([2, 256])

Such a cell is used by its dotted path, `my_package.cells:Minimal`. The decorator `registry.register("minimal")`
gives it a name. A registered cell goes through every test of tests/cells/test_contract.py, and needs its equations once more in
tests/numpy_cells.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from showattend.cells.initialisation import ForgetBias, find_scheme
from showattend.ops.linear import linear
from showattend.ops.unroll_plan import State

Gates = dict[str, Tensor]
ParameterRoles = Mapping[str, str]


class RecurrentCell(nn.Module):
    """Base class of recurrent cells: parameters, input projection and the default step.

    B rows, H hidden units, I = sum of `input_sizes`, S = len(gates) blocks of pre-activations. Keyword arguments of a
    constructor are the options of the cell (`--model.decoder.cell_options`); a subclass passes those that it does not know on.

    Attributes:
        weight_ih: W, the blocks below one another in the order of `gates`, (S*H, I)
        weight_hh: U, the blocks of the gates in `recurrent`, (len(recurrent)*H, H)
        bias: b, the blocks of the gates in `biased`, (len(biased)*H,)
        initial_size: width of h and c that `initial_state` takes

    Raises:
        InputError: an unknown initialisation.
    """

    gates: tuple[str, ...]  # set by the class; an instance may have more
    recurrent: ClassVar[tuple[str, ...] | None] = None  # gates with a U that multiplies h itself; None: all
    biased: ClassVar[tuple[str, ...] | None] = None  # gates with a bias, which must be the first ones; None: all
    bias_in_projection: ClassVar[bool] = True  # False: `step` adds the bias, behind a normaliser
    state_names: ClassVar[tuple[str, ...]] = ("h",)
    recomputable: ClassVar[bool] = True  # False: two calls of `step` differ, because it samples or keeps statistics
    forget_bias: ClassVar[ForgetBias] = None  # (gate, +1 or -1): the gate whose bias sets how long the cell remembers
    min_layers: ClassVar[int] = 1
    hidden_size_multiple: ClassVar[int] = 1  # the hidden size must be a multiple of it
    weight_hh: nn.Parameter
    # For the table of cells: the equations in one line, and the paper. The docstring has all the equations.
    equation: ClassVar[str] = ""
    source: ClassVar[str] = ""
    # What each parameter beyond weight_ih, weight_hh and bias does. Keys are names or patterns, such as "p_*".
    parameter_roles: ClassVar[ParameterRoles] = {}

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, *, initialisation: str = "default", max_time: int = 20) -> None:
        super().__init__()
        self.input_sizes = tuple(input_sizes)
        self.hidden_size = self.initial_size = hidden_size
        self.max_time = max_time
        self.scheme = find_scheme(initialisation, hidden_size, max_time)
        self.gate_records: list[Gates] | None = None
        self.weight_ih = nn.Parameter(torch.empty(len(self.gates) * hidden_size, sum(self.input_sizes)))
        with torch.no_grad():
            self.scheme.input(self.weight_ih)
        recurrent = self.gates if self.recurrent is None else self.recurrent
        if recurrent:
            self.weight_hh = self.new_matrix(len(recurrent))
        biased = self.gates if self.biased is None else self.biased
        self.bias = nn.Parameter(torch.empty(len(biased) * hidden_size))
        with torch.no_grad():
            self.scheme.bias(self.bias, biased, self.forget_bias)

    # What a subclass calls.

    def new_matrix(self, blocks: int, columns: int | None = None) -> nn.Parameter:
        """A matrix that multiplies a part of the state, (blocks*H, columns or H), initialised by the scheme."""
        weight = nn.Parameter(torch.empty(blocks * self.hidden_size, columns or self.hidden_size))
        with torch.no_grad():
            self.scheme.recurrent(weight)
        return weight

    def new_vector(self, blocks: int = 1, value: float = 0.0) -> nn.Parameter:
        """A bias, peephole or gain, (blocks*H,), initialised to `value`, at which it has no effect."""
        vector = nn.Parameter(torch.empty(blocks * self.hidden_size))
        with torch.no_grad():
            self.scheme.vector(vector, value)
        return vector

    def record_gates(self, **gates: Tensor) -> None:
        """Keep the values of the gates, (B,H) each, inside `recording_gates`; do nothing outside it."""
        if self.gate_records is not None:
            self.gate_records.append(gates)

    # What a subclass writes.

    def update(self, activations: Tensor, state: State) -> State:
        """The elementwise part of a step, where U multiplies h alone for every gate. A cell writes either this or `step`.

        Args:
            activations: a = W x + U h + b, (B, S*H)
            state: as for `step`
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither step nor update")

    def step(self, projected: Tensor, state: State) -> State:
        """One time step.

        Args:
            projected: W x + b, the sum of the projected parts, (B, S*H)
            state: the tensors of `state_names`, each (B, ...)

        Returns:
            the next state; its first entry is the output h, (B,H)
        """
        return self.update(projected + F.linear(state[0], self.weight_hh), state)

    def initial_state(self, h: Tensor, c: Tensor) -> State:
        """The state before the first word.

        Args:
            h: computed from the image by the decoder, (B,H)
            c: likewise, (B,H)
        """
        return (h, c)[: len(self.state_names)]

    @classmethod
    def upper(cls, hidden_size: int, **options: Any) -> "RecurrentCell":
        """The cell of an upper layer in a stack, whose input is the h of the layer below."""
        return cls((hidden_size,), hidden_size, **options)

    def project_lower_layer(self, h: Tensor, below: State) -> Tensor:
        """The input projection of an upper layer.

        Args:
            h: output of the layer below, after dropout, (B,H)
            below: the whole new state of the layer below
        """
        return self.project(h, 0)

    # What the decoder calls.

    def project(self, x: Tensor, part: int) -> Tensor:
        """Multiply one part of the input by its columns of W; part 0 also adds b.

        W x + b is a sum over the parts of x. The words' part is one matrix product for a whole caption, before the loop over
        time; only the context's part is computed inside the loop.

        Args:
            x: one part of the input, (..., input_sizes[part])

        Returns:
            (..., S*H)
        """
        return linear(x, self.input_weight(part), self.input_weight_and_bias()[1] if part == 0 else None)

    def input_weight(self, part: int) -> Tensor:
        """The columns of W for an input part, (S*H, input_sizes[part])."""
        return self.weight_ih[:, self.input_columns(part)]

    def input_columns(self, part: int) -> slice:
        """Where an input part lies in x."""
        end = list(accumulate(self.input_sizes))[part]
        return slice(end - self.input_sizes[part], end)

    def input_weight_and_bias(self) -> tuple[nn.Parameter, Tensor | None]:
        """W, and b padded with zeros to all blocks; b is None if `step` adds it (`bias_in_projection`)."""
        unbiased = len(self.weight_ih) - len(self.bias)
        bias = F.pad(self.bias, (0, unbiased)) if unbiased else self.bias
        return self.weight_ih, bias if self.bias_in_projection else None

    def fused_step_parts(self) -> tuple[Callable[[Tensor, State], State], nn.Parameter | None]:
        """The function that the fused loop calls, and the U that it multiplies h by beforehand.

        Returns:
            (`update`, U): the loop computes U h in one product with the attention's query; or (`step`, None)
        """
        return (self.update, self.weight_hh) if type(self).step is RecurrentCell.step else (self.step, None)

    @property
    def supports_fused_loop(self) -> bool:
        """Whether the fused training loop (ops/decoder_loop.py) fits: it recomputes each step in backward, and x acts through W alone."""
        return self.recomputable and type(self).project is RecurrentCell.project


def interpolate(old: Tensor, new: Tensor, gate: Tensor) -> Tensor:
    """(1 - gate) * old + gate * new, with one product."""
    return old + gate * (new - old)


@contextmanager
def recording_gates(module: nn.Module) -> Iterator[list[list[Gates]]]:
    """Within this context, the cells in `module` record the values of their gates at every step.

    Yields:
        for each cell, the lowest layer first: for each step a dictionary from the gates' names to values, (B,H)
    """
    cells = [cell for cell in module.modules() if isinstance(cell, RecurrentCell)]
    records: list[list[Gates]] = [[] for _ in cells]
    for cell, steps in zip(cells, records, strict=True):
        cell.gate_records = steps
    try:
        yield records
    finally:
        for cell in cells:
            cell.gate_records = None
