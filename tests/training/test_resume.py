"""A run that is killed and resumed is the run that nobody has killed, to the last bit."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from factories import wait_until

from showattend.cli.main import main
from showattend.errors import InputError
from showattend.training.base import BaseLitModule
from showattend.training.captioner import LitCaptioner
from showattend.training.checkpoints import AtomicCheckpointIO
from showattend.training.interruption import SIGNALS, SignalCheckpoint, Terminated
from showattend.training.random_states import get_random_states, set_random_states
from showattend.training.resume import check_options
from showattend.training.self_critical import LitSelfCritical

SMALL = ["--model.decoder.embedding_size=16", "--model.decoder.hidden_size=16", "--model.decoder.attention_size=16"]
SMALL += ["--model.preprocessing.image_size=64", "--trainer.accelerator=cpu"]
SMALL += ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.log_every_n_steps=1"]


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
def fit(shapes: Path, tmp_path: Path) -> Callable[..., int]:
    def run(name: str, *extra: str) -> int:
        command = ["fit", "--config=shapes", f"--data.root={shapes}", f"--data.cache_dir={tmp_path / 'cache'}", f"--runs={tmp_path}"]
        command += ["--data.batch_size=10", "--data.captions_per_photo=2", "--data.num_workers=0", "--data.flip=true", *SMALL]
        command += ["--trainer.max_epochs=3", "--trainer.check_val_every_n_epoch=1", "--monitor=val_loss", f"--name={name}"]
        return main([*command, *extra])

    return run


def kill_at(step: int, module: type[BaseLitModule], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the training step after `step` steps be the last that the process sees."""
    original = module.training_step
    steps = 0

    def training_step(self: BaseLitModule, *args: object) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps > step:
            raise Killed
        return original(self, *args)

    monkeypatch.setattr(module, "training_step", training_step)


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("last.ckpt", "best.ckpt"):
        states = [torch.load(folder / "checkpoints" / name, weights_only=True) for folder in (one, other)]
        assert_equal(states[0]["state_dict"], states[1]["state_dict"], name)
        assert_equal(states[0]["optimizer_states"], states[1]["optimizer_states"], name)
        assert_equal(states[0]["lr_schedulers"], states[1]["lr_schedulers"], name)
        assert_equal(states[0]["resume"], states[1]["resume"], name)
    for name in ("model.safetensors", "metrics.json"):
        assert (one / "model" / name).read_bytes() == (other / "model" / name).read_bytes(), name


def assert_equal(one: object, other: object, where: str) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where  # type: ignore[arg-type]
    elif isinstance(one, dict):
        assert one.keys() == other.keys()  # type: ignore[attr-defined]
        for key in one:
            assert_equal(one[key], other[key], f"{where}/{key}")  # type: ignore[index]
    elif isinstance(one, list | tuple):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):  # type: ignore[call-overload]
            assert_equal(a, b, f"{where}/{i}")
    else:
        assert one == other, where


@pytest.mark.parametrize(
    ("step", "options"),
    [
        (5, ["--ema=0.9", "--trainer.precision=64-true"]),
        pytest.param(8, [], marks=pytest.mark.slow),
        (8, ["--every_n_steps=1", "--ema=0.9"]),
        pytest.param(8, ["--every_n_steps=3", "--trainer.val_check_interval=2"], marks=pytest.mark.slow),
        pytest.param(9, ["--every_n_steps=2", "--trainer.accumulate_grad_batches=2"], marks=pytest.mark.slow),
        pytest.param(9, ["--every_n_steps=1", "--trainer.max_epochs=-1", "--trainer.max_steps=13"], marks=pytest.mark.slow),
        pytest.param(
            12,
            ["--data.batching=length", "--every_n_steps=5", "--trainer.check_val_every_n_epoch=2", "--trainer.max_epochs=2"],
            marks=pytest.mark.slow,
        ),
        pytest.param(8, ["--every_n_steps=1", "--model.fuse=always"], marks=pytest.mark.slow),
        pytest.param(7, ["--data.num_workers=1", "--every_n_steps=1", "--trainer.limit_train_batches=3"], marks=pytest.mark.slow),
        (4, ["--every_n_steps=1", "--model.decoder.attention=hard", "--model.loss.scheduled_sampling=0.3"]),
    ],
)
def test_a_killed_and_resumed_fit_ends_as_the_uninterrupted_one(
    step: int, options: list[str], fit: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fit("whole", *options) == 0
    with monkeypatch.context() as patch:
        kill_at(step, LitCaptioner, patch)
        with pytest.raises(Killed):
            fit("killed", *options)
    assert fit("killed", *options, "--ckpt_path=last") == 0
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    assert (tmp_path / "whole" / "metrics.csv").read_bytes() == (tmp_path / "killed" / "metrics.csv").read_bytes()


def test_a_killed_and_resumed_refine_ends_as_the_uninterrupted_one(
    model: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["refine", "--config=scst", f"--data.root={shapes}", f"--data.cache_dir={tmp_path / 'cache'}", f"--runs={tmp_path}"]
    command += [f"--model.start={model}", "--data.min_count=1", "--data.num_workers=0", "--data.batch_size=20", "--every_n_steps=1"]
    command += ["--trainer.enable_progress_bar=false", "--trainer.max_epochs=2", "--trainer.enable_model_summary=false"]
    assert main([*command, "--name=whole"]) == 0
    with monkeypatch.context() as patch:
        kill_at(5, LitSelfCritical, patch)
        with pytest.raises(Killed):
            main([*command, "--name=killed"])
    assert main([*command, "--name=killed", "--ckpt_path=last"]) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def resume(run: Path, shapes: Path, tmp_path: Path, *extra: str) -> list[str]:
    """The command that resumes a copy of the finished run."""
    shutil.copytree(run, tmp_path / "run", dirs_exist_ok=True)
    command = ["fit", "--config=shapes", f"--data.root={shapes}", f"--data.cache_dir={tmp_path / 'cache'}", f"--runs={tmp_path}"]
    command += ["--name=run", "--ckpt_path=last", "--trainer.max_epochs=24", "--trainer.check_val_every_n_epoch=12"]
    return [*command, "--trainer.enable_progress_bar=false", *extra]


@pytest.mark.parametrize(
    "option",
    [
        "--model.decoder.hidden_size=16",
        "--model.decoder.cell=gru",
        "--model.decoder.attention=hard",
        "--model.decoder.layers=2",
        "--model.optimizer.name=rmsprop",
        "--model.generation.beam=7",
        "--data.batch_size=7",
        "--ema=0.5",
        "--monitor=val_loss",
    ],
)
def test_another_option_than_the_run_s_is_refused_by_name(
    option: str, run: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(resume(run, shapes, tmp_path, option)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("showattend: ")
    assert option.partition("=")[0] in line


def test_an_option_that_may_change_is_printed_and_a_finished_run_stays_finished(
    run: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(resume(run, shapes, tmp_path, "--patience=9")) == 0
    assert "Resumed with other options: patience 9 (was 100)" in capsys.readouterr().err
    for name in ("metrics.csv", "model/model.safetensors", "checkpoints/last.ckpt"):
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes()


def test_a_run_that_had_a_switch_for_compiled_loops_is_resumed_with_its_mode(run: Path, shapes: Path, tmp_path: Path) -> None:
    command = resume(run, shapes, tmp_path, "--model.fuse=never")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    del checkpoint["is_fused"]
    checkpoint["resume"]["options"]["model.fuse"] = checkpoint["hyper_parameters"]["fuse"] = False
    torch.save(checkpoint, last)
    assert main(command) == 0


@pytest.mark.parametrize("content", ["cut", "foreign", "empty", "not ours"])
def test_a_damaged_last_checkpoint_is_one_line_that_names_the_best(
    content: str, run: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = resume(run, shapes, tmp_path)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    if content == "not ours":
        torch.save({"state_dict": {}}, last)
    else:
        last.write_bytes({"cut": last.read_bytes()[:1000], "foreign": b"PK not a checkpoint", "empty": b""}[content])
    assert main(command) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("showattend: ")
    assert f"--ckpt_path {last.with_name('best.ckpt')}" in line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": "1"}, "epoch: expected int"),
        ({"batch": -1}, "batch: expected int >= 0"),
        ({"random": {"torch": [0]}}, "random"),
        ({"random_of_others": {}}, "random_of_others: expected array"),
        ({"options": []}, "options: expected object"),
    ],
)
def test_a_record_of_something_else_is_refused(
    change: dict[str, Any], message: str, run: Path, shapes: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint["resume"] |= change
    torch.save(checkpoint, tmp_path / "changed.ckpt")
    printed = refused("fit", f"--ckpt_path={tmp_path / 'changed.ckpt'}", f"--data.root={shapes}")
    assert "holds no position to resume from" in printed
    assert message in printed


@pytest.mark.parametrize("section", [("decoder", "cell"), ("decoder", "attention"), ("encoder", "name")])
def test_code_that_a_checkpoint_names_is_not_imported_without_trust(
    section: tuple[str, str], run: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "strange", raising=False)
    Path("strange.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["hyper_parameters"][section[0]][section[1]] = "strange:Part"
    torch.save(checkpoint, "changed.ckpt")
    for command in ("validate", "fit"):
        assert main([command, "--ckpt_path=changed.ckpt", f"--data.root={shapes}"]) == 2
        assert "--trust strange" in capsys.readouterr().err.splitlines()[-1]
        assert not Path("imported").exists()
    assert main(["validate", "--ckpt_path=changed.ckpt", f"--data.root={shapes}", "--trust=strange"]) == 2
    assert Path("imported").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder": {"cell_options": {"x": {"class_path": "pathlib.Path"}}}}, "no plain values"),
        ({"decoder": {"cell_options": {"x": "{class_path: pathlib.Path}"}}}, "no plain values"),
        ({"decoder": {"cell_options": {"x": "{class_path: pathlib.Path,\tinit_args: {}}"}}}, "no plain values"),
        ({"decoder": {"attention_options": {"x": ["{class_path: pathlib.Path}"]}}}, "no plain values"),
        ({"optimizer": {"options": {"x": "a\n: b"}}}, "no plain values"),
        ({"decoder": {"cell_options": {"x.class_path": "pathlib.Path"}}}, "no plain values"),
        ({"decoder": {"cell_options": {3: 4}}}, "decoder.cell_options is"),
        ({"decoder": "{cell: 'strange:Part'}"}, "decoder is"),
        ({"decoder.cell": "strange:Part"}, "unknown option"),
        ({"class_path": "strange:Part"}, "unknown option"),
        ([], "CaptionerConfig is"),
    ],
)
def test_options_of_a_checkpoint_that_the_parser_would_read_as_more_are_refused(
    change: Any, message: str, run: Path, shapes: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("strange.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["hyper_parameters"] = {**checkpoint["hyper_parameters"], **change} if change else change
    torch.save(checkpoint, "changed.ckpt")
    for command in ("validate", "test", "fit"):
        assert message in refused(command, "--ckpt_path=changed.ckpt", f"--data.root={shapes}")
    assert not Path("imported").exists()


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({"step": 1}, path)

    def fail(content: object, file: object) -> None:
        raise RuntimeError("unexpected pos 64 vs 0") from OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(InputError, match="No space left on device"):
        io.save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew_in_its_folder(
    fit: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Lightning refuses such a number of SLURM's tasks; here every run is one process.
    for name, value in {"SLURM_NTASKS": "4", "SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    short = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1"]
    with monkeypatch.context() as patch:
        kill_at(1, LitCaptioner, patch)
        with pytest.raises(Killed):
            fit("run", *short)
    assert fit("run", *short, "--ckpt_path=last") == 0
    assert "begins at its beginning" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.glob("run*")) == ["run"]
    assert (tmp_path / "run" / "model" / "config.json").exists()


@pytest.mark.parametrize("number", SIGNALS)
def test_every_signal_of_a_batch_system_is_noted(number: int, tmp_path: Path) -> None:
    signals = SignalCheckpoint(tmp_path / "last.ckpt", 0)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        signal.signal(number, signal.SIG_DFL)  # nohup lets SIGHUP be ignored
        signals.on_train_start(SimpleNamespace(received_sigterm=False), None)  # type: ignore[arg-type]
        signal.raise_signal(number)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    with pytest.raises(Terminated) as stop:
        signals.stop_if_received()
    assert stop.value.code == 128 + number


def test_random_states_come_back() -> None:
    states = get_random_states()
    first = (torch.rand(3).tolist(), np.random.rand(3).tolist(), [random.random() for _ in range(3)])
    set_random_states(states)
    assert first == (torch.rand(3).tolist(), np.random.rand(3).tolist(), [random.random() for _ in range(3)])


@pytest.mark.parametrize("workers", [0, 1])
def test_sigterm_to_all_processes_saves_and_ends_with_143(workers: int, shapes: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "showattend",
        "fit",
        "--config=shapes",
        f"--data.root={shapes}",
        f"--runs={tmp_path}",
        "--name=run",
        *SMALL,
    ]
    command += [f"--data.cache_dir={tmp_path / 'cache'}", f"--data.num_workers={workers}", "--trainer.max_epochs=5000", "--patience=5000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    wait_until(last.exists, process)
    os.killpg(process.pid, signal.SIGTERM)
    output, error = process.communicate(timeout=120)
    assert process.returncode == 143, error
    assert f"{last} is saved" in error
    assert "finished" not in output
    assert torch.load(last, weights_only=True)["global_step"] > 0


@pytest.mark.parametrize("change", [{"model.optimizer.options.momentum": 0.9}, {"data.cache": "int8"}, {"data.shuffle_buffer": 64}])
def test_a_run_of_before_an_option_was_there_goes_on_with_its_default_only(change: dict[str, object]) -> None:
    old: dict[str, object] = {"model.optimizer.options": None, "data.batch_size": 8}
    new = {**old, "data.cache": "features", "data.shuffle_buffer": None}
    assert check_options(old, new) == []
    with pytest.raises(InputError, match=r"give the same options"):
        check_options(old, {**new, **change})
