"""The memory probe on cells of which it is known what they remember."""

import pytest
import torch
from factories import FirstAndLast, Forgetful

from showattend.cells.registry import cells as registry
from showattend.config_checks import from_mapping
from showattend.errors import InputError
from showattend.study.memory_probe import MemoryNetwork, Outcome, ProbeConfig, longest_delay, probe_gradients, probe_memory, train_on_task
from showattend.study.memory_tasks import TASKS, find_task

# Not 5, at which the second signal of `order` is the last input.
SHORT = ProbeConfig(hidden_size=8, delays=[10, 30], iterations=150, learning_rates=[0.05], batch_size=16)


@pytest.fixture(autouse=True)
def _known_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.entries, "forgetful", Forgetful)
    monkeypatch.setitem(registry.entries, "first_and_last", FirstAndLast)


@pytest.mark.parametrize("task", TASKS)
def test_a_cell_that_cannot_remember_fails_at_the_first_delay(task: str) -> None:
    (outcome,) = probe_memory("forgetful", task, SHORT, seed=0)
    assert not outcome.solved
    assert outcome.error == pytest.approx(find_task(task).chance, abs=0.12)
    assert outcome.iterations == 150
    assert longest_delay([outcome]) == 0


def test_a_cell_that_is_wired_to_remember_learns_every_delay() -> None:
    outcomes = list(probe_memory("first_and_last", "order", SHORT, seed=0))
    assert [outcome.delay for outcome in outcomes if outcome.solved] == SHORT.delays
    assert longest_delay(outcomes) == 30


def test_lstm_learns_a_short_delay() -> None:
    _, outcome = train_on_task("lstm", "order", 5, ProbeConfig(hidden_size=16, iterations=300), 0.02, seed=0)
    assert outcome.solved


def test_a_result_depends_on_the_seed_alone_and_leaves_the_global_generator_alone() -> None:
    config = ProbeConfig(hidden_size=4, iterations=3)
    state = torch.get_rng_state()
    one, outcome = train_on_task("gru", "adding", 6, config, 0.01, seed=1)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(99)
    other, same = train_on_task("gru", "adding", 6, config, 0.01, seed=1)
    assert outcome == same
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    third, _ = train_on_task("gru", "adding", 6, config, 0.01, seed=2)
    assert not torch.equal(next(one.parameters()), next(third.parameters()))


def test_a_diverging_training_is_an_unsolved_outcome() -> None:
    _, outcome = train_on_task("sru", "adding", 5, ProbeConfig(hidden_size=4, iterations=20, clip=1e30), 1e30, seed=0)
    assert outcome == Outcome(5, False, 1.0, outcome.iterations, 1e30)
    assert outcome.iterations < 20


def test_the_network_reads_the_last_steps() -> None:
    task = find_task("copying")
    network = MemoryNetwork("elman", 8, task)
    inputs = task.draw(5, 4, torch.Generator().manual_seed(0)).inputs
    h, outputs = torch.zeros(4, 8), []
    for x in inputs:
        h = torch.tanh(x @ network.cell.weight_ih.t() + network.cell.bias + h @ network.cell.weight_hh.t())
        outputs.append(network.readout(h))
    assert torch.allclose(network(inputs), torch.stack(outputs[-3:]), atol=1e-6)


def test_gradient_norms_are_given_before_and_after_training() -> None:
    norms = probe_gradients("elman", ProbeConfig(hidden_size=4, delays=[5], distance=12, iterations=5, learning_rates=[0.05]), seed=0)
    assert len(norms.untrained) == len(norms.trained) == 12
    assert norms.untrained != norms.trained
    assert not norms.solved


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delays": []}, r"probe.delays is \[\]: give growing whole numbers of at least 5"),
        ({"delays": [10, 5]}, "growing whole numbers"),
        ({"delays": [4, 8]}, "at least 5"),
        ({"learning_rates": [0.0]}, "numbers above 0"),
        ({"solved": 1.0}, "probe.solved is 1.0"),
        ({"iterations": 0}, "probe.iterations is 0"),
        ({"distance": 3}, "probe.distance is 3"),
        ({"iteration": 1}, "did you mean 'iterations'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_mapping(ProbeConfig, options)


def test_a_size_that_a_cell_refuses_is_one_line() -> None:
    with pytest.raises(InputError, match="cannot be shared by 4 periods"):
        next(iter(probe_memory("clockwork", "order", ProbeConfig(hidden_size=10), seed=0)))
