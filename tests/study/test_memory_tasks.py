"""The data of the memory tasks, against their definitions read back from the inputs alone."""

import pytest
import torch

from showattend.errors import InputError
from showattend.study.memory_tasks import TASKS, Copying, find_task

DELAYS = (5, 10, 37)
COUNT = 400


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("delay", DELAYS)
def test_copying_shows_three_symbols_then_blanks_then_cues(delay: int) -> None:
    inputs, targets = find_task("copying").draw(delay, COUNT, rng())
    symbols = inputs.argmax(-1)
    assert inputs.shape == (3 + delay + 3, COUNT, 6)
    assert (inputs.sum(-1) == 1).all()
    assert torch.equal(symbols[:3], targets)
    assert (symbols[3:-3] == Copying.symbols).all()
    assert (symbols[-3:] == Copying.symbols + 1).all()
    assert targets.unique().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("delay", DELAYS)
def test_adding_sums_the_two_marked_numbers_of_which_the_first_is_early(delay: int) -> None:
    inputs, targets = find_task("adding").draw(delay, COUNT, rng())
    assert inputs.shape == (delay, COUNT, 2)
    values, marks = inputs.unbind(-1)
    assert (marks.sum(0) == 2).all()
    assert torch.equal((values * marks).sum(0), targets[0])
    positions = [marks[:, episode].nonzero().flatten().tolist() for episode in range(COUNT)]
    assert all(first < max(1, delay // 10) <= second < max(2, delay // 2) for first, second in positions)
    assert values.min() >= 0
    assert values.max() < 1


@pytest.mark.parametrize("delay", DELAYS)
def test_temporal_order_asks_for_the_two_signals_in_their_order(delay: int) -> None:
    inputs, targets = find_task("order").draw(delay, COUNT, rng())
    symbols = inputs.argmax(-1)
    assert inputs.shape == (delay, COUNT, 6)
    places_of_second, tenth = set(), max(1, delay // 10)
    for episode in range(COUNT):
        places = (symbols[:, episode] < 2).nonzero().flatten().tolist()
        first, second = places
        assert targets[0, episode] == 2 * symbols[first, episode] + symbols[second, episode]
        assert first < tenth
        places_of_second.add(second)
    assert places_of_second == set(range(4 * tenth, 5 * tenth))
    assert targets.unique().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", TASKS)
def test_chance_is_the_error_of_the_best_constant_answer(name: str) -> None:
    task = find_task(name)
    _, targets = task.draw(20, 20_000, rng())
    answers = [torch.full((task.reads, 20_000, 1), 1.0)] if name == "adding" else torch.eye(task.output_size)
    wrong = [task.wrong(answer.expand(task.reads, 20_000, task.output_size), targets).double().mean().item() for answer in answers]
    assert min(wrong) == pytest.approx(task.chance, abs=0.015)


@pytest.mark.parametrize("name", TASKS)
def test_the_right_answer_is_not_wrong_and_has_the_smallest_loss(name: str) -> None:
    task = find_task(name)
    _, targets = task.draw(10, 50, rng())
    right = targets.unsqueeze(-1) if name == "adding" else 20 * torch.nn.functional.one_hot(targets, task.output_size).float()
    assert not task.wrong(right, targets).any()
    assert task.loss(right, targets) < 1e-6 < task.loss(right.roll(1, 1), targets)
    assert task.wrong(right.roll(1, 1), targets).any()


def test_the_same_generator_draws_the_same_episodes() -> None:
    one, other = (find_task("order").draw(10, 4, rng()) for _ in range(2))
    assert torch.equal(one.inputs, other.inputs)


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(InputError, match="unknown memory task 'coping': did you mean 'copying'"):
        find_task("coping")
