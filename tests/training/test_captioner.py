"""Training through Lightning, and the run's folder."""

import csv
import errno
import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import lightning
import pytest
import torch
import yaml
from factories import VOCABULARY, fit_captioner, small_config
from torchvision.models import resnet18, squeezenet1_1

from showattend.cli.main import main
from showattend.errors import InputError
from showattend.models.teacher_forcing import teacher_forcing_split
from showattend.pretrained import load_pretrained
from showattend.training.callbacks import StopOnDivergence, moving_average
from showattend.training.captioner import LitCaptioner
from showattend.training.command import _silent_log_thread
from showattend.training.runs import lock_run_folder, make_run_folder, unlock_run_folders
from showattend.training.schedules import SCHEDULES, learning_rate_factor
from showattend.vocabulary import PAD


def test_what_a_gpu_captures_of_a_step_is_its_losses(shapes: Path, tmp_path: Path) -> None:
    model = fit_captioner(shapes, tmp_path, steps=1, loss={"label_smoothing": 0.1}).eval()
    batch = next(iter(model.trainer.datamodule.train_dataloader()))  # type: ignore[attr-defined]
    input_ids, target_ids, _ = teacher_forcing_split(torch.nn.functional.pad(batch.token_ids, (0, 3), value=PAD))
    static = model._static_losses(model.network.encode_photos(batch.photos), input_ids, target_ids)
    assert torch.allclose(torch.stack(static), torch.stack(model._losses(batch)[:2]))


def test_padding_in_a_batch_changes_neither_loss_nor_penalty(shapes: Path, tmp_path: Path) -> None:
    model = fit_captioner(shapes, tmp_path, steps=1).eval()
    batch = next(iter(model.trainer.datamodule.train_dataloader()))  # type: ignore[attr-defined]
    padded = batch._replace(token_ids=torch.nn.functional.pad(batch.token_ids, (0, 4, 0, 2), value=PAD))
    for one, other in zip(model._losses(batch)[:2], model._losses(padded)[:2], strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_frozen_encoder_stays_and_a_fine_tuned_one_moves_from_its_stage_on(shapes: Path, tmp_path: Path) -> None:
    torch.save(squeezenet1_1(weights=None).state_dict(), tmp_path / "weights.pth")
    options = {"name": "squeezenet1_1", "weights": str(tmp_path / "weights.pth")}
    before = torch.load(tmp_path / "weights.pth", weights_only=True)

    def moved(model: LitCaptioner) -> set[str]:
        after = model.network.encoder.network.state_dict()
        return {name.split(".")[1] for name in after if not torch.equal(after[name], before[name])}

    assert moved(fit_captioner(shapes, tmp_path, encoder=options, trainer={"callbacks": [moving_average(0.9)]})) == set()
    assert moved(fit_captioner(shapes, tmp_path, encoder={**options, "finetune": "features.11", "learning_rate": 1e-3})) == {"11", "12"}


@pytest.mark.parametrize("finetune", [None, "layer4"])
def test_pretrained_statistics_stay_as_they_are(finetune: str | None, shapes: Path, tmp_path: Path) -> None:
    torch.save(resnet18(weights=None).state_dict(), tmp_path / "weights.pth")
    before = torch.load(tmp_path / "weights.pth", weights_only=True)
    model = fit_captioner(shapes, tmp_path, encoder={"name": "resnet18", "weights": str(tmp_path / "weights.pth"), "finetune": finetune})
    after = model.network.encoder.network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in after if "running" in name)
    assert torch.equal(after["layer4.0.conv1.weight"], before["layer4.0.conv1.weight"]) is (finetune is None)


def test_an_encoder_that_learns_from_nothing_gathers_statistics(shapes: Path, tmp_path: Path) -> None:
    after = fit_captioner(shapes, tmp_path).network.encoder.network.state_dict()
    assert all(after[name].any() for name in after if name.endswith("running_mean"))


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "rmsprop"])
@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_every_optimiser_and_schedule_trains(optimizer: str, schedule: str, shapes: Path, tmp_path: Path) -> None:
    model = fit_captioner(shapes, tmp_path, optimizer={"name": optimizer, "schedule": schedule, "warmup": 0.5}, steps=4)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert model.trainer.optimizers[0].param_groups[0]["lr"] < model.trainer.optimizers[0].defaults["lr"] or schedule == "constant"


@pytest.mark.parametrize(("schedule", "share"), [("cosine", 0.853553), ("linear", 0.75), ("constant", 1.0)])
def test_the_learning_rate_after_a_quarter_of_the_steps_behind_the_warm_up(schedule: str, share: float) -> None:
    rates = [learning_rate_factor(schedule, 0.2, step, 10) for step in (0, 1, 4)]
    assert rates == pytest.approx([0.5, 1.0, share], abs=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru", "slstm", "ligru", "layer_norm_lstm", "clockwork"])
def test_mixed_precision_trains_like_full_precision(cell: str, shapes: Path, tmp_path: Path) -> None:
    decoder = {"cell": cell, "dropout": 0.0, "projection_dim": 16}
    full = fit_captioner(shapes, tmp_path, decoder=decoder)
    mixed = fit_captioner(shapes, tmp_path, decoder=decoder, trainer={"precision": "bf16-mixed", "gradient_clip_val": 100.0})
    one, other = (float(model.trainer.callback_metrics["train_loss"]) for model in (full, mixed))
    assert one == pytest.approx(other, rel=0.02)


def test_the_same_seed_trains_the_same_weights(shapes: Path, tmp_path: Path) -> None:
    one, other = (fit_captioner(shapes, tmp_path, data={"flip": True, "captions_per_photo": 2}) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_averaged_weights_are_the_exponential_moving_average_of_the_steps(shapes: Path, tmp_path: Path) -> None:
    """m <- d m + (1 - d) w, begun by the first step's weights; d = (1 + n) / (10 + n) after n steps until that exceeds the decay."""

    class Recorder(lightning.Callback):
        weights: ClassVar[list[torch.Tensor]] = []

        def on_train_batch_end(self, trainer: object, model: LitCaptioner, *_: object) -> None:
            self.weights.append(model.network.decoder.output.weight.detach().clone())

    model = fit_captioner(
        shapes, tmp_path, steps=5, optimizer={"learning_rate": 0.01}, trainer={"callbacks": [Recorder(), moving_average(0.3)]}
    )
    expected = Recorder.weights[0]
    for decay, weights in zip((2 / 11, 3 / 12, 0.3, 0.3), Recorder.weights[1:], strict=True):
        expected = decay * expected + (1 - decay) * weights
    assert torch.allclose(model.network.decoder.output.weight, expected, atol=1e-6)
    assert not torch.allclose(expected, Recorder.weights[-1], atol=1e-4)


def test_the_run_s_folder_is_complete(run: Path) -> None:
    assert {"config.yaml", "metrics.csv", "checkpoints", "model"} <= {path.name for path in run.iterdir()}
    assert list(run.glob("events.out.tfevents.*"))
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    rows = [row for row in csv.DictReader((run / "metrics.csv").read_text().splitlines()) if row["val_bleu4"]]
    metrics = json.loads((run / "model" / "metrics.json").read_text())
    assert len(rows) == 2
    assert metrics["val_bleu4"] == pytest.approx(max(float(row["val_bleu4"]) for row in rows), abs=1e-6)
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["encoder"]["name"] == "tiny"
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


def test_validate_and_test_measure_what_fit_and_evaluate_do_and_write_nothing(
    run: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["validate", *options(run, shapes), "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]) == 0
    expected = json.loads((run / "model" / "metrics.json").read_text())["val_bleu4"]
    (printed,) = re.findall(r"val_bleu4\W+([0-9.e-]+)", capsys.readouterr().out)
    assert float(printed) == pytest.approx(expected, abs=1e-6)
    assert main(["test", *options(run, shapes), "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]) == 0
    assert main(["evaluate", "--model", str(run / "model"), "--data.root", str(shapes), "--split", "test", "--out", "out"]) == 0
    (printed,) = re.findall(r"test_bleu4\W+([0-9.e-]+)", capsys.readouterr().out)
    expected = json.loads(Path("out", "metrics.json").read_text())["bleu4"]
    assert float(printed) == pytest.approx(expected, abs=1e-6)


def test_options_beside_a_checkpoint_count_or_are_refused(
    run: Path, shapes: Path, refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*options(run, shapes), "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]
    assert main(["validate", *command, "--model.generation.max_length=1"]) == 0
    (printed,) = re.findall(r"val_bleu1\W+([0-9.e-]+)", capsys.readouterr().out)
    assert float(printed) < 0.01  # captions of one word
    assert "the checkpoint's weights are of lstm" in refused("test", *command, "--model.decoder.cell", "gru")
    assert "the run to resume has" in refused("fit", *command, f"--runs={run.parent}", "--model.optimizer.learning_rate=0.5")


def test_an_option_that_only_the_trainer_refuses_leaves_no_folder(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["fit", f"--data.root={shapes}", "--model.encoder.name=tiny", "--model.encoder.weights=none", f"--runs={tmp_path / 'runs'}"]
    command += ["--seed_everything=0"]
    for bad in ("--trainer.gradient_clip_algorithm=none", "--ema=1.5", "--trainer.devices=99"):
        assert main([*command, bad]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert [line.startswith("showattend: ") for line in lines if not line.startswith("tokenizer ")] == [True]
    assert not [path for path in tmp_path.rglob("*") if path.name != "runs"]


def test_an_interrupted_run_goes_on_in_its_folder(shapes: Path, tmp_path: Path) -> None:
    command = ["fit", f"--config={Path(__file__).parents[2] / 'configs' / 'shapes.yaml'}", f"--data.root={shapes}"]
    command += [f"--data.cache_dir={tmp_path / 'cache'}", f"--runs={tmp_path}", "--name=again", "--ema=0.9"]
    command += ["--trainer.enable_progress_bar=false", "--trainer.check_val_every_n_epoch=1", "--data.batch_size=24"]
    assert main([*command, "--trainer.max_epochs=1"]) == 0
    first = (tmp_path / "again" / "metrics.csv").read_text().splitlines()
    assert main([*command, "--trainer.max_epochs=2", "--ckpt_path=last"]) == 0
    assert (tmp_path / "again" / "metrics.csv").read_text().splitlines()[: len(first)] == first
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
    ("bad", "message"),
    [
        ({"optimizer": {"name": "adamm"}}, "did you mean 'adam"),
        ({"optimizer": {"schedule": "cosin"}}, "did you mean 'cosine'"),
        ({"loss": {"penalty_target": "2"}}, "known: 1, T/L"),
        ({"preprocessing": {"resize": "squash"}}, "known: crop, stretch"),
        ({"encoder": {"finetune": "layers.99"}}, "encoder stage"),
    ],
)
def test_an_unknown_choice_is_refused_with_the_known_ones(bad: dict[str, dict[str, str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LitCaptioner(VOCABULARY, small_config(**bad))


@pytest.mark.parametrize(
    "option",
    [
        "--model.loss.label_smoothing=-1",
        "--model.decoder.projection_dim=0",
        "--model.optimizer.weight_decay=-1",
        "--model.optimizer.warmup=-1",
        "--model.optimizer.learning_rate=.nan",
        "--model.decoder.hidden_size=null",
        "--model.decoder.hidden_size=true",
        "--model.generation.beam=0",
        "--data.max_words=-1",
        "--data.num_workers=-1",
        "--patience=-1",
        "--ema=null",
        "--trainer.accelerator=gpuu",
        "--trainer.accelerator=tpu",
        "--trainer.accumulate_grad_batches=0",
        "--trainer.devices=-1",
        "--trainer.devices=0",
        "--trainer.devices=99",
        "--trainer.num_nodes=2",
        "--trainer.devices=[0, 1]",
        "--trainer.check_val_every_n_epoch=0",
        "--seed_everything=-1",
        "--trainer.barebones=true",
        "--trainer.precision=16-true",
        "--trainer.strategy=ddp_spawn",
        "--every_n_steps=-1",
    ],
)
def test_a_bad_option_is_one_line_that_names_it(option: str, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["fit", "--config=shapes", f"--data.root={shapes}", f"--runs={tmp_path}", f"--data.cache_dir={tmp_path / 'cache'}"]
    assert main([*command, "--trainer.enable_progress_bar=false", "--trainer.max_epochs=1", option]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("showattend: ")]
    assert option.partition("=")[0].rpartition(".")[2].lstrip("-") in line


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("--model.decoder.hiden_size=3", "--model.decoder.hidden_size"),
        ("--model.hidden_size=3", "--model.decoder.hidden_size"),
        ("--model.encoder.naem=tiny", "--model.encoder.name"),
        ("--data.bath_size=3", "--data.batch_size"),
        ("--trainer.max_epcohs=3", "--trainer.max_epochs"),
        ("--model.decoder={hiden_size: 3}", "--model.decoder.hidden_size"),
    ],
)
def test_a_typo_in_an_option_names_the_nearest_one(typo: str, meant: str, shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config=shapes", f"--data.root={shapes}", typo]) == 2
    assert f"did you mean {meant}?" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_stops_the_run(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["fit", "--config=shapes", f"--data.root={shapes}", f"--runs={tmp_path}", f"--data.cache_dir={tmp_path / 'cache'}"]
    command += ["--trainer.enable_progress_bar=false", "--trainer.max_epochs=2", "--trainer.check_val_every_n_epoch=1"]
    assert main([*command, "--model.optimizer.learning_rate=1e30", "--trainer.gradient_clip_val=null"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("showattend: training diverged")
    assert "step" in error
    assert "learning_rate" in error
    assert not (tmp_path / "shapes" / "model").exists()


@pytest.mark.parametrize("loss", [torch.inf, torch.nan])
def test_a_validation_loss_that_is_not_finite_stops_the_run_before_a_checkpoint(loss: float, tmp_path: Path) -> None:
    trainer = SimpleNamespace(callback_metrics={"val_loss": torch.tensor(loss)}, optimizers=[], global_step=7)
    with pytest.raises(InputError, match=f"val_loss is {loss} at step 7"):
        StopOnDivergence(tmp_path).on_validation_end(trainer, None)  # type: ignore[arg-type]


def test_two_runs_that_start_at_once_get_two_folders(tmp_path: Path) -> None:
    assert make_run_folder(tmp_path / "run") != make_run_folder(tmp_path / "run")
    unlock_run_folders()


def test_no_two_processes_train_in_one_folder_and_a_worker_holds_none(tmp_path: Path) -> None:
    lock_run_folder(tmp_path)
    with pytest.raises(InputError, match="another process trains in"):
        lock_run_folder(tmp_path)
    ready, end = os.pipe(), os.pipe()
    if os.fork() == 0:  # a worker that outlives the run
        os.close(end[1])
        os.write(ready[1], b"x")
        os.read(end[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    unlock_run_folders()
    lock_run_folder(tmp_path)
    unlock_run_folders()
    os.close(end[1])
    os.wait()


def test_the_thread_of_the_logs_is_silent_about_a_full_disk_only(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = []
    monkeypatch.setattr(threading, "excepthook", lambda ended: reported.append(str(ended.exc_value)))

    def fail(error: Exception) -> None:
        raise error

    with _silent_log_thread():
        for error in (OSError(errno.ENOSPC, "No space left"), ValueError("a fault")):
            thread = threading.Thread(target=fail, args=[error])
            thread.start()
            thread.join()
    assert reported == ["a fault"]
