"""The contract of a recurrent cell, and what all cells share.

A cell maps x_t = [word embedding, gated context] and its state to a new state. Its pre-activations are
a = W x + U h + b; the share W x + b is linear in the parts of x, so `project` gives it part by part: the words' share is one
product for a whole caption, outside the loop over words, and only the context's share is made inside.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from showattend.cells.initialisation import ForgetBias, find_scheme
from showattend.ops.linear import linear

State = tuple[Tensor, ...]
Gates = dict[str, Tensor]


class RecurrentCell(nn.Module):
    """h_t from h_{t-1} and x_t.

    B rows, H hidden units, I = sum of `input_sizes`, S = len(gates) blocks of pre-activations. A subclass names its blocks
    in `gates`, its state in `state_names`, and writes its equations in `move`, or in `step` where it has products of its own, without
    a branch on a tensor's value. What
    more it holds it makes in its constructor with `new_matrix` and `new_vector`; keyword arguments of the constructor are
    options of the cell.

    Attributes:
        weight_ih: W, the blocks below one another in the order of `gates`, (S*H, I)
        weight_hh: U, the blocks of the gates that hear h itself (`recurrent`), (R*H, H)
        bias: b, the blocks of the gates that have one (`biased`), (S*H,)

    Raises:
        InputError: an initialisation that is not known.
    """

    gates: tuple[str, ...]  # of the class; an instance may have more
    recurrent: ClassVar[tuple[str, ...] | None] = None  # none: all gates
    biased: ClassVar[tuple[str, ...] | None] = None  # none: all gates; otherwise the first ones
    bias_in_projection: ClassVar[bool] = True  # false: `step` adds it, behind a normaliser
    state_names: ClassVar[tuple[str, ...]] = ("h",)
    recomputable: ClassVar[bool] = True  # false: a step draws, or keeps statistics
    # The gate whose bias decides how long the cell remembers, and the sign that makes it remember longer.
    forget_bias: ClassVar[ForgetBias] = None
    min_layers: ClassVar[int] = 1
    hidden_size_multiple: ClassVar[int] = 1  # of the hidden sizes that it takes
    weight_hh: nn.Parameter
    # One line for the table of cells, and where it comes from; the class's docstring has all the equations.
    equation: ClassVar[str] = ""
    source: ClassVar[str] = ""

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

    def new_matrix(self, blocks: int, columns: int | None = None) -> nn.Parameter:
        """A matrix over something of the state, (blocks*H, columns or H), that begins as the scheme says."""
        weight = nn.Parameter(torch.empty(blocks * self.hidden_size, columns or self.hidden_size))
        with torch.no_grad():
            self.scheme.recurrent(weight)
        return weight

    def new_vector(self, blocks: int = 1, value: float = 0.0) -> nn.Parameter:
        """A vector, (blocks*H,), that begins where it changes nothing: `value`."""
        vector = nn.Parameter(torch.empty(blocks * self.hidden_size))
        with torch.no_grad():
            self.scheme.vector(vector, value)
        return vector

    def project(self, x: Tensor, part: int) -> Tensor:
        """The share of input part `part` in the pre-activations; the bias is counted once, with part 0.

        Args:
            x: one part of the input, (..., input_sizes[part])

        Returns:
            (..., S*H)
        """
        return linear(x, self.input_weight(part), self.input_weight_and_bias()[1] if part == 0 else None)

    def input_weight(self, part: int) -> Tensor:
        """The columns of W for an input part, (S*H, input_sizes[part])."""
        end = list(accumulate(self.input_sizes))[part]
        return self.weight_ih[:, end - self.input_sizes[part] : end]

    def project_lower_layer(self, h: Tensor, below: State) -> Tensor:
        """What an upper layer of a stack makes of the layer below it: h of that layer, dropped out, and all its state."""
        return self.project(h, 0)

    def initial_state(self, h: Tensor, c: Tensor) -> State:
        """The state before the first word, from what the decoder makes of the photo: h and c, (B,H) each."""
        return (h, c)[: len(self.state_names)]

    def step(self, projected: Tensor, state: State) -> State:
        """One step in time.

        Args:
            projected: W x + b, the sum of the projected parts, (B, S*H)
            state: the tensors of `state_names`, each (B, ...)

        Returns:
            the new state; its first entry is the output h, (B,H)
        """
        return self.update(projected + F.linear(state[0], self.weight_hh), state)

    def update(self, activations: Tensor, state: State) -> State:
        """What is left of a step, elementwise, when all gates hear h itself: a cell writes either this or `step`.

        Args:
            activations: a = W x + U h + b, (B, S*H)
            state: as for `step`
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither step nor move")

    def fused_step_parts(self) -> tuple[Callable[[Tensor, State], State], nn.Parameter | None]:
        """How the cell goes on: `move`, with the U that then is one product with whatever else multiplies h; or else `step`, without."""
        return (self.update, self.weight_hh) if type(self).step is RecurrentCell.step else (self.step, None)

    @property
    def supports_fused_loop(self) -> bool:
        """Whether a step can be made again on the way back, and x reaches it through W alone: see `models/unrolled.py`."""
        return self.recomputable and type(self).project is RecurrentCell.project

    def input_weight_and_bias(self) -> tuple[nn.Parameter, Tensor | None]:
        """What `project` uses: W, and b for all its blocks, where it stands beside x."""
        unbiased = len(self.weight_ih) - len(self.bias)
        bias = F.pad(self.bias, (0, unbiased)) if unbiased else self.bias
        return self.weight_ih, bias if self.bias_in_projection else None

    def record_gates(self, **gates: Tensor) -> None:
        """Show the gates' values, (B,H) each, to whoever watches; nothing is done where nobody does."""
        if self.gate_records is not None:
            self.gate_records.append(gates)

    @classmethod
    def upper(cls, hidden_size: int, **options: Any) -> "RecurrentCell":
        """The cell of an upper layer in a stack, whose input is the layer below it."""
        return cls((hidden_size,), hidden_size, **options)


@contextmanager
def recording_gates(module: nn.Module) -> Iterator[list[list[Gates]]]:
    """Within it, every step of the cells in `module` leaves its gates' values.

    Yields:
        for each cell, the lowest layer first: for each step a dictionary from the gates' names to values, (B,H)
    """
    cells = [cell for cell in module.modules() if isinstance(cell, RecurrentCell)]
    seen: list[list[Gates]] = [[] for _ in cells]
    for cell, steps in zip(cells, seen, strict=True):
        cell.gate_records = steps
    try:
        yield seen
    finally:
        for cell in cells:
            cell.gate_records = None
