"""Training on the metric: the right gradient, a higher reward, and clear refusals."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from factories import QUIET_TRAINER, rewrite_vocabulary
from torch import Tensor

from showattend.cli.main import main
from showattend.config_checks import from_mapping
from showattend.data.batches import Batch
from showattend.errors import InputError
from showattend.training.config import RefineConfig, SelfCriticalConfig
from showattend.training.datamodule import CaptionDataModule
from showattend.training.run_config import DataConfig
from showattend.training.self_critical import LitSelfCritical
from showattend.vocabulary import FORBIDDEN_IDS, START

CONFIG = Path(__file__).parents[2] / "configs" / "scst.yaml"


def lit_and_batch(model: Path, shapes: Path, cache: Path, **options: Any) -> tuple[LitSelfCritical, Batch]:
    """A model about to be trained, and a batch of all training photos."""
    config = DataConfig(shapes, min_count=1, batch_size=48, cache_dir=cache, num_workers=0, captions_per_photo=1)
    data = CaptionDataModule(config)
    lit = LitSelfCritical(data.vocabulary, from_mapping(RefineConfig, {"start": str(model), **options}))
    lightning.Trainer(max_steps=0, **QUIET_TRAINER).fit(lit, data)
    return lit.train(), next(iter(data.train_dataloader()))


@pytest.mark.parametrize(("baseline", "temperature"), [("greedy", 1.0), ("leave_one_out", 1.0), ("leave_one_out", 0.5)])
def test_the_gradient_is_that_of_the_expected_reward(baseline: str, temperature: float, model: Path, shapes: Path, tmp_path: Path) -> None:
    """For captions of one word its expectation is a sum over the vocabulary; the mean of 400 estimates lies within 4.5 errors of it."""
    lit, batch = lit_and_batch(
        model,
        shapes,
        tmp_path,
        self_critical={"baseline": baseline, "temperature": temperature, "samples": 3},
        generation={"max_length": 1, "length_penalty": 0.0},
    )
    for parameter in (lit.network.decoder.output.weight, lit.network.decoder.output.bias):
        parameter.data.mul_(0.3 * temperature)  # flatter probabilities, so that samples differ
    batch = repeated(batch, 1)
    bias = lit.network.decoder.output.bias

    logits = lit.network(batch.photos, torch.full((4, 1, 1), START)).logits
    allowed = logits.index_fill(1, torch.tensor(FORBIDDEN_IDS), -torch.inf)
    rewards = torch.stack([lit._reward(batch.ids, torch.full((4, 1, 1), word))[:, 0] for word in range(len(lit.vocabulary))], 1)
    (exact,) = torch.autograd.grad(-((allowed / temperature).softmax(-1) * rewards).sum() / 4, bias)

    estimates = []
    for _ in range(50):
        loss, *_ = lit._losses(repeated(batch, 8))
        estimates.append(torch.autograd.grad(loss, bias)[0])
    assert_within(torch.stack(estimates), exact, 4.5)


def repeated(batch: Batch, times: int) -> Batch:
    """The first four photos of a batch several times: its loss is the mean of as many independent estimates."""
    photos = type(batch.photos)(batch.photos.values[:4].repeat(times, *[1] * (batch.photos.values.dim() - 1)))
    return Batch(photos, batch.token_ids[:4].repeat(times, 1, 1), batch.ids[:4] * times, batch.references[:4] * times)


def assert_within(estimates: Tensor, exact: Tensor, errors: float) -> None:
    error = estimates.std(0) / len(estimates) ** 0.5
    allowed = error > 0  # words that are never drawn have no gradient
    assert (exact[allowed].abs() > 10 * error[allowed]).any(), "no gradient is far from zero"
    assert ((estimates.mean(0) - exact).abs() <= errors * error + 1e-6).all()


def test_captions_are_sampled_and_scored_without_dropout_and_only_the_decoder_is_trained(model: Path, shapes: Path, tmp_path: Path) -> None:
    lit, _ = lit_and_batch(model, shapes, tmp_path)
    assert not any(module.training for module in lit.network.modules())
    trained = {name for name, parameter in lit.network.named_parameters() if parameter.requires_grad}
    assert trained == {f"decoder.{name}" for name, _ in lit.network.decoder.named_parameters()}


@pytest.mark.parametrize("dropout", [False, True])
def test_dropout_is_in_the_gradient_alone_and_where_it_is_asked_for(dropout: bool, model: Path, shapes: Path, tmp_path: Path) -> None:
    lit, batch = lit_and_batch(model, shapes, tmp_path, self_critical={"dropout": dropout})
    lit.network.decoder.dropout.p = 0.5
    features = lit.network.encode_photos(batch.photos)
    logits = [lit._logits(features, batch.token_ids[..., :-1]) for _ in range(2)]
    assert torch.equal(*logits) != dropout
    assert not any(module.training for module in lit.network.modules())


@pytest.mark.parametrize("baseline", ["greedy", "leave_one_out"])
def test_the_reward_of_a_batch_rises(baseline: str, model: Path, shapes: Path, tmp_path: Path) -> None:
    lit, batch = lit_and_batch(model, shapes, tmp_path, self_critical={"baseline": baseline})
    batch = repeated(batch, 4)
    optimizer = torch.optim.Adam(lit.network.decoder.parameters(), lr=2e-3)
    rewards = []
    for _ in range(20):
        loss, reward, _ = lit._losses(batch)
        rewards.append(float(reward.mean()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert sum(rewards[-5:]) > sum(rewards[:5]) * 1.03  # 1.08 to 1.18 over six seeds


def test_rewards_are_cider_d_with_the_end_as_a_word(model: Path, shapes: Path, tmp_path: Path) -> None:
    lit, batch = lit_and_batch(model, shapes, tmp_path)
    whole = batch.token_ids[:, :, 1:]
    without_end = whole.clone()
    without_end[without_end == 2] = 0
    own, shorter = lit._reward(batch.ids, whole), lit._reward(batch.ids, without_end)
    assert (own > shorter).all()
    first = lit.rows[batch.ids[0]]
    tokens = [*lit.vocabulary.decode(whole[0, 0].tolist()), "<end>"]
    assert own[0, 0].item() == pytest.approx(float(lit.rewards.scores([first], [tokens])[0]), rel=1e-5)


def command(model: Path, shapes: Path, tmp_path: Path, *options: str) -> list[str]:
    places = {"config": CONFIG, "data.root": shapes, "data.cache_dir": tmp_path / "cache", "runs": tmp_path, "model.start": model}
    small = {"data.min_count": 1, "data.num_workers": 0, "trainer.enable_progress_bar": "false", "trainer.log_every_n_steps": 1}
    return ["refine", *(f"--{name}={value}" for name, value in {**places, **small}.items()), *options]


def test_refine_writes_the_model_with_the_highest_cider_d(model: Path, shapes: Path, tmp_path: Path) -> None:
    assert (
        main(command(model, shapes, tmp_path, "--trainer.max_epochs=4", "--model.optimizer.learning_rate=5e-4", "--data.flip=false")) == 0
    )
    with (tmp_path / "scst" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    shares = [float(row["reward_share"]) for row in rows if row["reward_share"]]
    assert shares
    assert all(0 < share < 1 for share in shares)
    best = json.loads((tmp_path / "scst" / "model" / "metrics.json").read_text())["val_cider_d"]
    assert best == pytest.approx(max(float(row["val_cider_d"]) for row in rows if row["val_cider_d"]), abs=1e-6)


def test_what_cannot_be_refined_is_one_line(model: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = shutil.copytree(model, tmp_path / "other")
    words = json.loads((other / "vocabulary.json").read_text())
    rewrite_vocabulary(other, [*words[:4], *reversed(words[4:])])
    for options, named in (
        (("--model.self_critical.samples=1",), "samples is 1"),
        (("--model.self_critical.baseline=mean",), "baseline"),
        (("--monitor=val_bleu",), "val_bleu4"),
        ((f"--model.start={tmp_path / 'none'}",), "no model folder"),
        ((f"--model.start={other}",), "other words"),
    ):
        assert main(command(model, shapes, tmp_path, *options)) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("showattend: ")
        assert named in error
    assert not (tmp_path / "scst").exists()


def test_leave_one_out_needs_two_samples() -> None:
    with pytest.raises(InputError, match="at least 2"):
        SelfCriticalConfig(samples=1)


def test_a_start_is_needed_and_named(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refine", f"--config={CONFIG}", f"--data.root={shapes}"]) == 2
    assert "required: --model.start: see showattend refine --help" in capsys.readouterr().err
