"""Trains one cell with a linear readout on a memory task at growing delays, until it no longer learns the task."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from showattend.cells import find_cell, make_cell
from showattend.config_checks import check_range, check_types
from showattend.errors import InputError
from showattend.models.config import MAX_SIZE
from showattend.study.gradient_norms import gradient_norms
from showattend.study.memory_tasks import SHORTEST, Episodes, MemoryTask, find_task
from showattend.study.trials import seed_of

CHECK_EVERY = 50  # iterations between two tests on fresh episodes
TEST_EPISODES = 256
GRADIENT_TASK, GRADIENT_DELAY, GRADIENT_ROWS = "order", 20, 16  # what gradient norms are measured after, and on how many episodes


@dataclass(frozen=True)
class ProbeConfig:
    """How a cell is trained on a memory task, the same for every cell.

    Args:
        hidden_size: H
        delays: in time steps, tried one after another until one is not learned
        distance: the largest one over which gradient norms are measured, in time steps
        iterations: gradient steps at most, for each learning rate
        learning_rates: of Adam, tried one after another until one learns the task
        batch_size: episodes in a step
        clip: largest norm of the gradient
        solved: share of wrong episodes at which the task counts as learned

    Raises:
        InputError: a value of another type or out of its range.
    """

    section: ClassVar[str] = "probe"

    hidden_size: int = 32
    delays: list[int] = field(default_factory=lambda: [5, 10, 20, 40, 80])
    distance: int = 80
    iterations: int = 600
    learning_rates: list[float] = field(default_factory=lambda: [0.01, 0.002])
    batch_size: int = 32
    clip: float = 1.0
    solved: float = 0.1

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "hidden_size", minimum=1, maximum=MAX_SIZE)
        check_range(self, "iterations", "batch_size", minimum=1)
        check_range(self, "distance", minimum=SHORTEST)
        check_range(self, "clip", above=0)
        check_range(self, "solved", above=0, below=1)
        if not self.delays or sorted(set(self.delays)) != self.delays or self.delays[0] < SHORTEST:
            raise InputError(f"probe.delays is {self.delays}: give growing whole numbers of at least {SHORTEST}")
        if not self.learning_rates or min(self.learning_rates) <= 0:
            raise InputError(f"probe.learning_rates is {self.learning_rates}: give numbers above 0")


class MemoryNetwork(nn.Module):
    """A recurrent cell from a zero state, and a linear layer on its h. Cells that need several layers get as few as they allow."""

    def __init__(self, cell: str, hidden_size: int, task: MemoryTask) -> None:
        super().__init__()
        self.cell = make_cell(cell, (task.input_size,), hidden_size, layers=find_cell(cell).min_layers)
        self.readout = nn.Linear(self.cell.hidden_size, task.output_size)
        self.reads = task.reads

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of the last `reads` steps, (T,B,I) to (R,B,O)."""
        zeros = inputs.new_zeros(inputs.shape[1], self.cell.initial_size)
        state = self.cell.initial_state(zeros, zeros)
        outputs: list[Tensor] = []
        for projected in self.cell.project(inputs, 0).unbind(0):
            state = self.cell.step(projected, state)
            outputs.append(state[0])
        read: Tensor = self.readout(torch.stack(outputs[-self.reads :]))
        return read


@dataclass(frozen=True)
class Outcome:
    """What came of one delay: the learning rate that did best, its share of wrong episodes, and its gradient steps."""

    delay: int
    solved: bool
    error: float
    iterations: int
    learning_rate: float


def probe_memory(cell: str, task_name: str, config: ProbeConfig, seed: int, beyond: int = 0) -> Iterator[Outcome]:
    """Train on one delay after another, from new weights each time, until one is not learned.

    Args:
        beyond: the longest delay that is known to be learned; it and those before it are left out

    Yields:
        an outcome for each delay that was tried; only the last one may be unsolved

    Raises:
        InputError: an unknown cell or task, or a hidden size that the cell refuses.
    """
    for delay in (delay for delay in config.delays if delay > beyond):
        _, outcome = _train_with_best_rate(cell, task_name, delay, config, seed)
        yield outcome
        if not outcome.solved:
            return


def longest_delay(outcomes: Sequence[Outcome]) -> int:
    """The longest delay that was learned; 0: none was."""
    return max((outcome.delay for outcome in outcomes if outcome.solved), default=0)


class GradientNorms(NamedTuple):
    """Norms of dh_T/ds_t at the distances 1, 2, … before and after training on GRADIENT_TASK at a delay, and whether it was learned."""

    delay: int
    solved: bool
    untrained: list[float]
    trained: list[float]


def probe_gradients(cell: str, config: ProbeConfig, seed: int) -> GradientNorms:
    """Gradient norms of a cell, up to the largest distance of the configuration, before training and after it.

    Raises:
        InputError: an unknown cell, or a hidden size that the cell refuses.
    """
    task = find_task(GRADIENT_TASK)
    rng = torch.Generator().manual_seed(seed_of(seed, "gradient norms"))
    # One step more, whose distance is left out: layer normalisation of the zero state before it has a gradient like no later one.
    inputs = task.draw(config.distance + 1, GRADIENT_ROWS, rng).inputs
    with _seeded(seed, cell, GRADIENT_TASK, GRADIENT_DELAY):
        untrained = gradient_norms(MemoryNetwork(cell, config.hidden_size, task).cell, inputs)
    network, outcome = _train_with_best_rate(cell, GRADIENT_TASK, GRADIENT_DELAY, config, seed)
    trained = gradient_norms(network.cell, inputs)
    return GradientNorms(GRADIENT_DELAY, outcome.solved, untrained[:-1], trained[:-1])


@contextmanager
def _seeded(*parts: object) -> Iterator[None]:
    """Seed torch's global generator for what the parts name, and restore it afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(*parts))
        yield


def _train_with_best_rate(cell: str, task_name: str, delay: int, config: ProbeConfig, seed: int) -> tuple[MemoryNetwork, Outcome]:
    """Try the learning rates until one learns the task; if none does, take the one with the fewest wrong answers."""
    tried = []
    for rate in config.learning_rates:
        tried.append(train_on_task(cell, task_name, delay, config, rate, seed))
        if tried[-1][1].solved:
            break
    return min(tried, key=lambda result: result[1].error)


def train_on_task(cell: str, task_name: str, delay: int, config: ProbeConfig, rate: float, seed: int) -> tuple[MemoryNetwork, Outcome]:
    """Train new weights with Adam until the task is learned at this delay, or the iterations are used up.

    The result depends on the arguments alone, not on torch's global generator.
    """
    task = find_task(task_name)
    with _seeded(seed, cell, task_name, delay):
        network = MemoryNetwork(cell, config.hidden_size, task)
        rng = torch.Generator().manual_seed(seed_of(seed, task_name, delay))
        optimizer = torch.optim.Adam(network.parameters(), lr=rate, fused=True)
        error, iteration = 1.0, 0
        while error > config.solved and iteration < config.iterations:
            iteration += 1
            if not _train_step(network, optimizer, task, task.draw(delay, config.batch_size, rng), config.clip):
                return network, Outcome(delay, False, 1.0, iteration, rate)
            if iteration % CHECK_EVERY == 0 or iteration == config.iterations:
                error = error_rate(network, task, task.draw(delay, TEST_EPISODES, rng))
    return network, Outcome(delay, error <= config.solved, error, iteration, rate)


def _train_step(network: MemoryNetwork, optimizer: torch.optim.Optimizer, task: MemoryTask, episodes: Episodes, clip: float) -> bool:
    """One gradient step; False if the loss or the gradient is no longer finite."""
    optimizer.zero_grad()
    loss = task.loss(network(episodes.inputs), episodes.targets)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(network.parameters(), clip)
    if not math.isfinite(loss.item() + norm.item()):
        return False
    optimizer.step()
    return True


@torch.no_grad()
def error_rate(network: MemoryNetwork, task: MemoryTask, episodes: Episodes) -> float:
    """The share of episodes that the network, in evaluation mode, answers wrong."""
    network.eval()
    wrong = task.wrong(network(episodes.inputs), episodes.targets).double().mean().item()
    network.train()
    return wrong
