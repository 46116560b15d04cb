"""Synthetic tasks that need memory over a chosen delay: copying, adding, temporal order.

Each draws episodes (inputs over time, and targets for the last steps) and counts an episode as right or wrong as a whole, so that one
threshold says for every task whether a network has learned it.

Shapes: T time steps, B episodes, I inputs, R steps at the end whose outputs are read, O outputs.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from showattend.errors import find_by_name


class Episodes(NamedTuple):
    """B episodes of one length: inputs (T,B,I), and targets of the last R steps, (R,B)."""

    inputs: Tensor
    targets: Tensor


class MemoryTask(ABC):
    """A task of one kind; the delay is given with each draw.

    Attributes:
        input_size: I
        output_size: O
        reads: R
        chance: share of wrong episodes of the best answer without memory
    """

    input_size: ClassVar[int]
    output_size: ClassVar[int]
    reads: ClassVar[int] = 1
    chance: ClassVar[float]

    @abstractmethod
    def draw(self, delay: int, count: int, rng: torch.Generator) -> Episodes:
        """Draw `count` episodes."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of the read outputs, (R,B,O) and (R,B) to a scalar."""
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    def wrong(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Which episodes are answered wrong in any read step, (B,)."""
        return (outputs.argmax(-1) != targets).any(0)


class Copying(MemoryTask):
    """Three symbols of four, then blanks, then a cue: repeat the symbols (Arjovsky et al. 2016, section 5.1, with fewer symbols).

    The delay is the number of blanks. Inputs are one-hot: four symbols, blank, cue.
    """

    symbols: ClassVar[int] = 4
    input_size = 6
    output_size = 4
    reads = 3
    chance = 1 - (1 / 4) ** 3

    def draw(self, delay: int, count: int, rng: torch.Generator) -> Episodes:
        """T = 3 + delay + 3; the cue stands at each of the last three steps."""
        targets = torch.randint(self.symbols, (self.reads, count), generator=rng)
        blanks = torch.full((delay, count), self.symbols)
        cues = torch.full((self.reads, count), self.symbols + 1)
        return Episodes(F.one_hot(torch.cat((targets, blanks, cues)), self.input_size).float(), targets)


class Adding(MemoryTask):
    """Random numbers, of which two are marked: give the sum of the two at the end (Hochreiter & Schmidhuber 1997, section 5.4).

    The first mark lies in the first tenth of the sequence, the second in the rest of the first half. The delay
    is T: the first number must be kept for at least nine tenths of it. An answer within 0.1 of the sum is right.
    """

    tolerance: ClassVar[float] = 0.1
    input_size = 2
    output_size = 1
    chance = 0.81  # of answering 1 always: the sum of two uniform numbers lies within 0.1 of 1 with probability 0.19

    def draw(self, delay: int, count: int, rng: torch.Generator) -> Episodes:
        """T = delay. Input 0 is the number, input 1 the mark."""
        values = torch.rand(delay, count, generator=rng)
        tenth, half = max(1, delay // 10), max(2, delay // 2)
        first = torch.randint(tenth, (count,), generator=rng)
        second = torch.randint(tenth, half, (count,), generator=rng)
        marks = torch.zeros(delay, count)
        marks[first, torch.arange(count)] = 1.0
        marks[second, torch.arange(count)] = 1.0
        return Episodes(torch.stack((values, marks), -1), (values * marks).sum(0, keepdim=True))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error."""
        return F.mse_loss(outputs.squeeze(-1), targets)

    def wrong(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Which sums are off by the tolerance or more."""
        return ~((outputs.squeeze(-1) - targets).abs() < self.tolerance).all(0)  # NaN is wrong too


class TemporalOrder(MemoryTask):
    """Two signals, X or Y, among distractors: say which came first and which second (Hochreiter & Schmidhuber 1997, section 5.6).

    The first lies in the first tenth of the sequence, the second in the fifth tenth; the delay is T. At T = 5 the second is the last input,
    and one signal alone has to be remembered. Inputs are one-hot: X, Y, four distractors.
    """

    distractors: ClassVar[int] = 4
    input_size = 6
    output_size = 4
    chance = 0.75

    def draw(self, delay: int, count: int, rng: torch.Generator) -> Episodes:
        """T = delay; the classes are XX, XY, YX, YY."""
        symbols = torch.randint(2, 2 + self.distractors, (delay, count), generator=rng)
        tenth = max(1, delay // 10)
        first = torch.randint(tenth, (count,), generator=rng)
        second = torch.randint(4 * tenth, 5 * tenth, (count,), generator=rng)
        signals = torch.randint(2, (2, count), generator=rng)
        symbols[first, torch.arange(count)] = signals[0]
        symbols[second, torch.arange(count)] = signals[1]
        return Episodes(F.one_hot(symbols, self.input_size).float(), (2 * signals[0] + signals[1]).unsqueeze(0))


TASKS: dict[str, MemoryTask] = {"copying": Copying(), "adding": Adding(), "order": TemporalOrder()}
SHORTEST = 5  # a shorter delay leaves no place for two signals


def find_task(name: str) -> MemoryTask:
    """The task of a name.

    Raises:
        InputError: there is none.
    """
    return find_by_name("memory task", name, TASKS)
