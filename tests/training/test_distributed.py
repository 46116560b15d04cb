"""Several processes train the run that one trains: real ones over gloo, and identities of what each of them computes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from factories import wait_until
from lightning.fabric.plugins.environments import SLURMEnvironment
from torch import nn
from torch.utils.data import BatchSampler, SequentialSampler

from showattend.cli.main import main
from showattend.data.batches import SampleKey, ShareOfBatches, TrainingBatches
from showattend.errors import InputError
from showattend.files import waiting_lock
from showattend.training.launching import cluster_environment, is_first_process
from showattend.training.processes import average, from_first, gather, largest, mean_weights, total
from showattend.training.synced_batch_norm import SyncedBatchNorm, SyncedBatchNorms

TWO = ["--trainer.devices=2", "--trainer.strategy=ddp"]
# In double precision nothing but the order of sums differs; in float32 Adam would make steps of what is left by rounding.
EXACT = ["--trainer.precision=64-true"]
FIGURES = ("train_loss", "train_penalty", "val_loss", "val_bleu4", "val_cider_d")


@pytest.fixture
def command(shapes: Path, model: Path, tmp_path: Path) -> list[str]:
    """`fit` from a finished model, so that its captions have scores; many of its batches have one photo only."""
    options = [f"--data.root={shapes}", f"--data.cache_dir={tmp_path / 'cache'}", f"--runs={tmp_path}", f"--model.start={model}"]
    options += ["--data.batching=length", "--data.batch_size=3", "--data.num_workers=0", "--history_photos=0", "--monitor=val_loss"]
    options += ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.log_every_n_steps=1"]
    options += ["--trainer.limit_train_batches=6", "--trainer.check_val_every_n_epoch=1", "--model.optimizer.schedule=constant"]
    return ["fit", "--config=shapes", *options, "--model.optimizer.learning_rate=1e-4", "--model.optimizer.warmup=0"]


def start(command: list[str]) -> subprocess.Popen[str]:
    """The command in a process of its own, which starts the others."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-m", "showattend", *command]
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_to_end(command: list[str]) -> str:
    """What the command prints; it must succeed."""
    output, error = (process := start(command)).communicate(timeout=300)
    assert process.returncode == 0, error
    assert "Warning" not in error
    return output


def figures(run: Path) -> list[float]:
    """All losses and scores of metrics.csv, in order."""
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file) for name in FIGURES if row.get(name)]


def test_two_processes_train_the_run_of_one_and_one_goes_on_with_it(command: list[str], tmp_path: Path) -> None:
    assert main([*command, *EXACT, "--name=alone", "--trainer.max_epochs=2"]) == 0
    output = run_to_end([*command, *EXACT, *TWO, "--name=shared", "--trainer.max_epochs=1"])
    assert output.count("Training on 2 devices") == output.count("The finished model") == 1
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2  # training and validation photos, of which each process needs all
    assert main([*command, *EXACT, "--name=shared", "--trainer.max_epochs=2", "--ckpt_path=last"]) == 0
    alone, shared = figures(tmp_path / "alone"), figures(tmp_path / "shared")
    assert len(alone) == 2 * (2 * 6 + 3)
    assert shared == pytest.approx(alone, abs=1e-9)
    assert max(alone[14], alone[-1]) > 0  # val_cider_d
    weights = [torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for name in ("alone", "shared")]
    for name, tensor in weights[0].items():
        assert torch.allclose(tensor, weights[1][name], rtol=0, atol=1e-8), name
    assert sorted(path.name for path in (tmp_path / "alone").iterdir() if "events" not in path.name) == sorted(
        path.name for path in (tmp_path / "shared").iterdir() if "events" not in path.name
    )


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--model.fuse=true", "--trainer.accumulate_grad_batches=2"])
def test_two_processes_go_on_with_the_run_of_one(option: str, command: list[str], tmp_path: Path) -> None:
    command = [*command, *EXACT, option]
    assert main([*command, "--name=alone", "--trainer.max_epochs=2"]) == 0
    assert main([*command, "--name=shared", "--trainer.max_epochs=1"]) == 0
    run_to_end([*command, *TWO, "--name=shared", "--trainer.max_epochs=2", "--ckpt_path=last"])
    assert figures(tmp_path / "shared") == pytest.approx(figures(tmp_path / "alone"), abs=1e-6)


@pytest.mark.slow
def test_in_float32_the_curves_agree_too(command: list[str], tmp_path: Path) -> None:
    assert main([*command, "--name=alone", "--trainer.max_epochs=1"]) == 0
    run_to_end([*command, *TWO, "--name=shared", "--trainer.max_epochs=1"])
    assert figures(tmp_path / "shared")[:12] == pytest.approx(figures(tmp_path / "alone")[:12], abs=1e-5)


@pytest.mark.slow
def test_refine_and_validate_run_on_two_processes(command: list[str], shapes: Path, model: Path, run: Path, tmp_path: Path) -> None:
    common = [f"--data.root={shapes}", f"--data.cache_dir={tmp_path / 'cache'}", "--data.min_count=1", "--data.num_workers=0"]
    common += ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", *TWO]
    refine = ["refine", "--config=scst", f"--model.start={model}", f"--runs={tmp_path}", "--name=refined", "--data.batch_size=9"]
    run_to_end([*refine, *common, "--trainer.max_epochs=1", "--trainer.log_every_n_steps=1"])
    assert "train_reward" in (tmp_path / "refined" / "metrics.csv").read_text()
    assert (tmp_path / "refined" / "model" / "model.safetensors").exists()
    output = run_to_end(["validate", "--config=shapes", *common, f"--ckpt_path={run / 'checkpoints' / 'best.ckpt'}", "--data.batch_size=3"])
    (printed,) = [line for line in output.splitlines() if "val_cider_d" in line]
    expected = json.loads((model / "metrics.json").read_text())["val_cider_d"]
    assert float(printed.strip(" │|").split()[-1]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "number", "status"), [("second", signal.SIGKILL, 2), ("first", signal.SIGTERM, 143)])
def test_no_process_outlives_another(victim: str, number: int, status: int, command: list[str], tmp_path: Path) -> None:
    process = start([*command, *TWO, "--name=run", "--trainer.max_epochs=5000", "--patience=5000"])
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    wait_until(last.exists, process)
    (second,) = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
    os.kill(second if victim == "second" else process.pid, number)
    _, error = process.communicate(timeout=100)
    assert "Traceback" not in error
    if victim == "first" or process.returncode != -signal.SIGKILL:  # Lightning, which looks every few seconds, may have killed it
        assert process.returncode == status, error
        assert ("another process of this run has ended" if victim == "second" else f"{last} is saved") in error
    assert has_ended(second)
    assert torch.load(last, weights_only=True)["global_step"] > 0


def has_ended(process: int) -> bool:
    """Whether a process ends within seconds; the system may still hold its number."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_the_shares_of_all_processes_are_the_batches_of_one(processes: int) -> None:
    groups = [[(photo, None) for photo in range(11)], [(photo, 0) for photo in range(4)]]
    whole = list(TrainingBatches(groups, 5, seed=1))
    shares = [list(ShareOfBatches(TrainingBatches(groups, 5, seed=1), process, processes)) for process in range(processes)]
    assert {len(share) for share in shares} == {len(whole)}
    for step, batch in enumerate(whole):
        assert sorted(key for share in shares for key in share[step] if key.is_counted) == sorted(batch)  # type: ignore[union-attr]
        assert all(share[step] for share in shares)


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_every_validation_photo_counts_once(processes: int) -> None:
    batches = BatchSampler(SequentialSampler(range(9)), 4, drop_last=False)
    keys = [key for process in range(processes) for batch in ShareOfBatches(batches, process, processes) for key in batch]
    assert sorted(key for key in keys if not isinstance(key, SampleKey)) == list(range(9))
    assert not any(key.is_counted for key in keys if isinstance(key, SampleKey))


def test_a_single_process_computes_with_what_it_has() -> None:
    counts = torch.tensor([7, 3, 0])
    assert total(counts) is counts
    assert mean_weights(counts).tolist() == [1, 1, 0]
    assert average(counts) is counts
    assert (largest(3), gather("x"), from_first("y")) == (3, ["x"], "y")


def test_a_synced_batch_norm_computes_what_torch_does_and_is_one_only_while_it_trains() -> None:
    model, x = nn.Sequential(nn.BatchNorm2d(3)).double(), torch.randn(4, 3, 5, 5, dtype=torch.double)
    nn.init.uniform_(model[0].weight)
    expected, x_grad = run_batch_norm(model, x)
    statistics = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model[0].reset_running_stats()
    SyncedBatchNorms().apply(model)
    assert type(model[0]) is SyncedBatchNorm
    for one, other in zip(run_batch_norm(model, x), (expected, x_grad), strict=True):
        assert torch.allclose(one, other)
    for name, tensor in model.state_dict().items():
        assert torch.allclose(tensor, statistics[name]), name
    assert type(SyncedBatchNorms().revert(model)[0]) is nn.BatchNorm2d  # type: ignore[index]


def run_batch_norm(model: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The output, and the gradient of its weighted sum in the input."""
    x = x.clone().requires_grad_()
    output = model(x)
    (output * torch.linspace(0, 1, x.numel(), dtype=x.dtype).view_as(x)).sum().backward()
    assert x.grad is not None
    return output.detach(), x.grad


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_variables(**variables: str) -> None:
        defaults = {"JOB_ID": "17", "JOB_NAME": "train", "NTASKS": "8", "NTASKS_PER_NODE": "4", "NNODES": "2", "NODELIST": "node[3-4]"}
        for name, value in {**defaults, "PROCID": "0", "LOCALID": "0", "NODEID": "0", **variables}.items():
            monkeypatch.setenv(f"SLURM_{name}", value)

    return set_variables


def test_slurm_says_which_process_this_is(slurm: Callable[..., None]) -> None:
    slurm(PROCID="4", NODEID="1")
    environment = cluster_environment(one_process=False, nodes=2)
    assert isinstance(environment, SLURMEnvironment)
    assert not environment.auto_requeue
    assert (environment.main_address, environment.global_rank(), environment.world_size()) == ("node3", 4, 8)
    assert not is_first_process(environment, one_process=False)
    slurm()
    assert is_first_process(environment, one_process=False)
    assert not isinstance(alone := cluster_environment(one_process=True, nodes=1), SLURMEnvironment)
    assert is_first_process(alone, one_process=True)


@pytest.mark.parametrize(
    ("options", "variables", "message"),
    [
        (["--trainer.devices=2"], {"NTASKS": "1", "NTASKS_PER_NODE": "1"}, "1 processes were started"),
        (["--trainer.num_nodes=2"], None, "start the command with srun or torchrun"),
        (["--trainer.devices=2", "--trainer.strategy=single_device"], None, "give ddp"),
        (["--trainer.devices=2", "--trainer.strategy=fsdp"], None, "give ddp"),
        (["--trainer.devices=2", "--data.batch_size=1"], None, "give at least 2"),
    ],
)
def test_a_bad_combination_is_one_line(
    options: list[str],
    variables: dict[str, str] | None,
    message: str,
    shapes: Path,
    tmp_path: Path,
    slurm: Callable[..., None],
    refused: Callable[..., str],
) -> None:
    if variables is not None:
        slurm(**variables)
    line = refused("fit", "--config=shapes", f"--data.root={shapes}", f"--runs={tmp_path / 'runs'}", "--trainer.accelerator=cpu", *options)
    assert message in line
    assert not list(tmp_path.glob("runs/*"))


def test_slurm_tasks_without_their_number_on_a_node_are_one_line(slurm: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    slurm()
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(InputError, match="ntasks-per-node"):
        cluster_environment(one_process=False, nodes=2)


@pytest.mark.parametrize(
    ("signalled", "status", "requeued"), [(True, 138, "requeue 17"), (True, 143, "requeue 17"), (False, 143, ""), (False, 2, "")]
)
def test_the_job_of_slurm_asks_for_a_new_one_when_its_time_is_up(
    signalled: bool, status: int, requeued: str, slurm: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm()
    steps = f"trap 'exit {status}' USR1\n" + ("touch ready; while true; do sleep 0.05; done" if signalled else f"exit {status}")
    (tmp_path / "srun").write_text(f'#!/bin/bash\necho "$@" > {tmp_path / "started"}\n{steps}\n')
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "$@" > {tmp_path / "requeued"}\n')
    for name in ("srun", "scontrol"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    script = Path(__file__).parents[2] / "scripts" / "slurm.sbatch"
    job = subprocess.Popen(["bash", script, "--config", "coco"], cwd=tmp_path)
    if signalled:
        wait_until((tmp_path / "ready").exists, job)
        job.send_signal(signal.SIGUSR1)
    assert job.wait(60) == (0 if requeued else status)
    started = "fit --config coco --ckpt_path last --trainer.strategy ddp --trainer.num_nodes 2 --trainer.devices 4"
    assert (tmp_path / "started").read_text().strip().endswith(started)
    assert (tmp_path / "requeued").exists() == bool(requeued)
    if requeued:
        assert (tmp_path / "requeued").read_text().strip() == requeued


def test_a_lock_is_waited_for_and_leaves_no_file(tmp_path: Path) -> None:
    path, order = tmp_path / "folder" / "x.lock", tmp_path / "order"
    code = "import sys; from pathlib import Path; from showattend.files import waiting_lock\n"
    code += "print('ready', flush=True)\nwith waiting_lock(Path(sys.argv[1])): Path(sys.argv[2]).open('a').write('second ')"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with waiting_lock(path):
        other = subprocess.Popen([sys.executable, "-c", code, str(path), str(order)], env=environment, stdout=subprocess.PIPE)
        assert other.stdout is not None
        with other.stdout:
            other.stdout.readline()
        time.sleep(0.3)  # long enough for whoever would not wait
        order.write_text("first ")
    assert other.wait(60) == 0
    assert order.read_text() == "first second "
    assert not path.exists()
