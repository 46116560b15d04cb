"""Training through Lightning, and the run's folder."""

import csv
import json
import re
from pathlib import Path
from typing import ClassVar

import lightning
import pytest
import torch
import yaml
from torchvision.models import resnet18, squeezenet1_1

from showattend.cells import cell_names, find_cell
from showattend.cli.main import main
from showattend.errors import InputError
from showattend.models.teacher_forcing import teacher_forcing_split
from showattend.pretrained import load_pretrained
from showattend.training.callbacks import moving_average
from showattend.training.captioner import LitCaptioner
from showattend.training.datamodule import CaptionDataModule
from showattend.training.runs import make_run_folder
from showattend.training.schedules import SCHEDULES
from showattend.vocabulary import PAD

SMALL = {"encoder": "tiny", "weights": "none", "image_size": 64, "embedding_size": 32, "hidden_size": 64, "attention_size": 32}
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


def fitted(
    shapes: Path,
    cache: Path,
    *,
    data: dict[str, object] | None = None,
    trainer: dict[str, object] | None = None,
    steps: int = 3,
    **options: object,
) -> LitCaptioner:
    lightning.seed_everything(0, verbose=False)
    module = CaptionDataModule(shapes, min_count=1, cache_dir=cache, num_workers=0, **{"batch_size": 8, **(data or {})})  # type: ignore[arg-type]
    model = LitCaptioner(module.tokens, **{**SMALL, **options})  # type: ignore[arg-type]
    chosen = {**QUIET, "num_sanity_val_steps": 0, "limit_val_batches": 0, **(trainer or {})}
    lightning.Trainer(max_steps=steps, **chosen).fit(model, module)  # type: ignore[arg-type]
    return model


@pytest.mark.parametrize("cell", cell_names())
def test_one_batch_is_learned_to_exact_captions(cell: str, shapes: Path, tmp_path: Path) -> None:
    lightning.seed_everything(0, verbose=False)
    # Of these eight captions two are the longest: the light GRU normalises over rows, and one row alone teaches it little.
    data = CaptionDataModule(shapes, min_count=1, batch_size=8, cache_dir=tmp_path, num_workers=0, captions_per_photo=1)
    layers = find_cell(cell).min_layers
    model = LitCaptioner(data.tokens, **{**SMALL, "cell": cell, "layers": layers, "dropout": 0.0})  # type: ignore[arg-type]
    trainer = lightning.Trainer(max_steps=0, **QUIET)  # type: ignore[arg-type]
    trainer.fit(model, data)
    batch = next(iter(data.train_dataloader()))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    model.train()
    for _ in range(400):
        loss, *_ = model._losses(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.02:
            break
    model.eval()
    found = model.network.caption(batch.photos, model.search).token_ids[:, 0]
    for mine, theirs in zip(found, batch.token_ids[:, 0], strict=True):
        assert data.vocabulary.decode(mine.tolist()) == data.vocabulary.decode(theirs.tolist())


def test_what_a_gpu_captures_of_a_step_is_its_losses(shapes: Path, tmp_path: Path) -> None:
    model = fitted(shapes, tmp_path, steps=1, label_smoothing=0.1).eval()
    batch = next(iter(model.trainer.datamodule.train_dataloader()))  # type: ignore[attr-defined]
    heard, targets, _ = teacher_forcing_split(torch.nn.functional.pad(batch.token_ids, (0, 3), value=PAD))
    captured = model._teach(model.network.encode_photos(batch.photos), heard, targets)
    assert torch.allclose(torch.stack(captured), torch.stack(model._losses(batch)[:2]))


def test_padding_in_a_batch_changes_neither_loss_nor_penalty(shapes: Path, tmp_path: Path) -> None:
    model = fitted(shapes, tmp_path, steps=1).eval()
    batch = next(iter(model.trainer.datamodule.train_dataloader()))  # type: ignore[attr-defined]
    padded = batch._replace(token_ids=torch.nn.functional.pad(batch.token_ids, (0, 4, 0, 2), value=PAD))
    for one, other in zip(model._losses(batch)[:2], model._losses(padded)[:2], strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_frozen_encoder_stays_and_a_fine_tuned_one_moves_from_its_stage_on(shapes: Path, tmp_path: Path) -> None:
    torch.save(squeezenet1_1(weights=None).state_dict(), tmp_path / "weights.pth")
    options = {"encoder": "squeezenet1_1", "weights": str(tmp_path / "weights.pth")}
    before = torch.load(tmp_path / "weights.pth", weights_only=True)

    def moved(model: LitCaptioner) -> set[str]:
        after = model.network.encoder.network.state_dict()
        return {name.split(".")[1] for name in after if not torch.equal(after[name], before[name])}

    assert moved(fitted(shapes, tmp_path, **options, trainer={"callbacks": [moving_average(0.9)]})) == set()
    assert moved(fitted(shapes, tmp_path, **options, finetune="features.11", encoder_learning_rate=1e-3)) == {"11", "12"}


@pytest.mark.parametrize("finetune", [None, "layer4"])
def test_pretrained_statistics_stay_as_they_are(finetune: str | None, shapes: Path, tmp_path: Path) -> None:
    torch.save(resnet18(weights=None).state_dict(), tmp_path / "weights.pth")
    before = torch.load(tmp_path / "weights.pth", weights_only=True)
    model = fitted(shapes, tmp_path, encoder="resnet18", weights=str(tmp_path / "weights.pth"), finetune=finetune)
    after = model.network.encoder.network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in after if "running" in name)
    assert torch.equal(after["layer4.0.conv1.weight"], before["layer4.0.conv1.weight"]) is (finetune is None)


def test_an_encoder_that_learns_from_nothing_gathers_statistics(shapes: Path, tmp_path: Path) -> None:
    after = fitted(shapes, tmp_path).network.encoder.network.state_dict()
    assert all(after[name].any() for name in after if name.endswith("running_mean"))


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "rmsprop"])
@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_every_optimiser_and_schedule_trains(optimizer: str, schedule: str, shapes: Path, tmp_path: Path) -> None:
    model = fitted(shapes, tmp_path, optimizer=optimizer, schedule=schedule, warmup=0.5, steps=4)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    rates = [model._rate(step) for step in range(4)]
    assert rates[:2] == [0.5, 1.0]
    assert rates[3] == pytest.approx(SCHEDULES[schedule](0.5))


@pytest.mark.parametrize("cell", ["lstm", "gru", "slstm", "ligru", "layer_norm_lstm", "clockwork"])
def test_mixed_precision_trains_like_full_precision(cell: str, shapes: Path, tmp_path: Path) -> None:
    full = fitted(shapes, tmp_path, cell=cell, dropout=0.0, projection_dim=16)
    mixed = fitted(
        shapes, tmp_path, cell=cell, dropout=0.0, projection_dim=16, trainer={"precision": "bf16-mixed", "gradient_clip_val": 100.0}
    )
    one, other = (float(model.trainer.callback_metrics["train_loss"]) for model in (full, mixed))
    assert one == pytest.approx(other, rel=0.02)


def test_the_same_seed_trains_the_same_weights(shapes: Path, tmp_path: Path) -> None:
    one, other = (fitted(shapes, tmp_path, data={"flip": True, "captions_per_photo": 2}) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_averaged_weights_are_the_exponential_moving_average_of_the_steps(shapes: Path, tmp_path: Path) -> None:
    """Polyak's average with a decay, as the option --ema trains: m <- d m + (1 - d) w, begun by the first step's weights."""

    class Recorder(lightning.Callback):
        seen: ClassVar[list[torch.Tensor]] = []

        def on_train_batch_end(self, trainer: object, model: LitCaptioner, *_: object) -> None:
            self.seen.append(model.network.decoder.output.weight.detach().clone())

    model = fitted(shapes, tmp_path, steps=5, learning_rate=0.01, trainer={"callbacks": [Recorder(), moving_average(0.6)]})
    expected = Recorder.seen[0]
    for weights in Recorder.seen[1:]:
        expected = 0.6 * expected + 0.4 * weights
    assert torch.allclose(model.network.decoder.output.weight, expected, atol=1e-6)
    assert not torch.allclose(expected, Recorder.seen[-1], atol=1e-4)


def test_the_run_s_folder_is_complete(run: Path) -> None:
    assert {"config.yaml", "metrics.csv", "checkpoints", "model"} <= {path.name for path in run.iterdir()}
    assert list(run.glob("events.out.tfevents.*"))
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    rows = [row for row in csv.DictReader((run / "metrics.csv").read_text().splitlines()) if row["val_bleu4"]]
    metrics = json.loads((run / "model" / "metrics.json").read_text())
    assert len(rows) == 2
    assert metrics["val_bleu4"] == pytest.approx(max(float(row["val_bleu4"]) for row in rows), abs=1e-6)
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["encoder"] == "tiny"
    assert config["seed_everything"] == 0


def test_the_finished_model_is_the_best_checkpoint(run: Path) -> None:
    saved = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    state = load_pretrained(run / "model").network.state_dict()
    assert saved["words"][:4] == ["<pad>", "<start>", "<end>", "<unk>"]
    assert all(torch.equal(saved["state_dict"][f"network.{name}"], tensor) for name, tensor in state.items())


def options(run: Path, shapes: Path) -> list[str]:
    return [
        f"--config={run / 'config.yaml'}",
        f"--data.root={shapes}",
        f"--data.cache_dir={run.parent / 'cache'}",
        "--trainer.enable_progress_bar=false",
        "--trainer.logger=false",
    ]


def test_validate_measures_what_fit_measured_and_writes_nothing(
    run: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["validate", *options(run, shapes), "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]) == 0
    expected = json.loads((run / "model" / "metrics.json").read_text())["val_bleu4"]
    (printed,) = re.findall(r"val_bleu4\W+([0-9.e-]+)", capsys.readouterr().out)
    assert float(printed) == pytest.approx(expected, abs=1e-6)
    assert not list(tmp_path.iterdir())


def test_an_option_that_only_the_trainer_refuses_leaves_no_folder(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["fit", f"--data.root={shapes}", "--model.encoder=tiny", "--model.weights=none", f"--runs={tmp_path / 'runs'}"]
    for bad in ("--trainer.gradient_clip_algorithm=none", "--ema=1.5", "--trainer.devices=2"):
        assert main([*command, bad]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not [path for path in tmp_path.rglob("*") if path.name != "runs"]


def test_an_interrupted_run_goes_on_in_its_folder(shapes: Path, tmp_path: Path) -> None:
    command = ["fit", f"--config={Path(__file__).parents[2] / 'configs' / 'shapes.yaml'}", f"--data.root={shapes}"]
    command += [f"--data.cache_dir={tmp_path / 'cache'}", f"--runs={tmp_path}", "--name=again", "--ema=0.9"]
    command += ["--trainer.enable_progress_bar=false", "--trainer.check_val_every_n_epoch=1", "--data.batch_size=24"]
    assert main([*command, "--trainer.max_epochs=1"]) == 0
    first = (tmp_path / "again" / "metrics.csv").read_text()
    assert main([*command, "--trainer.max_epochs=2", "--ckpt_path=last"]) == 0
    assert (tmp_path / "again" / "metrics-1.csv").read_text() == first
    assert torch.load(tmp_path / "again" / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 1
    assert not (tmp_path / "again-2").exists()


def test_every_run_gets_a_fresh_folder(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        folder = make_run_folder(tmp_path / "run")
        (folder / "something").touch()
        names.append(folder.name)
    assert names == ["run", "run-2", "run-3"]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"optimizer": "adamm"}, "did you mean 'adam"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"penalty_target": "2"}, "known: 1, T/L"),
        ({"resize": "squash"}, "known: crop, stretch"),
        ({"finetune": "layers.99"}, "encoder stage"),
    ],
)
def test_bad_choices_are_refused_at_once(bad: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        LitCaptioner(["<pad>", "<start>", "<end>", "<unk>", "a"], **{**SMALL, **bad})  # type: ignore[arg-type]
