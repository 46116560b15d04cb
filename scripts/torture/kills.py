"""Kills: feature extraction, `fit` and `refine` are killed at random moments, resumed, and compared with an uninterrupted run."""

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from scripts.torture.fixtures import RECIPE, SHAPES
from scripts.torture.outcome import Outcome, Plan, Record, Result
from scripts.torture.sandbox import Ended, classify, run_command, run_forked

EPOCHS = 4
REFINE = """\
seed_everything: 0
data: {batch_size: 8, captions_per_photo: 1, min_count: 1, num_workers: 0}
model:
  self_critical: {samples: 2}
  optimizer: {learning_rate: 1.0e-3}
monitor: val_cider_d
every_n_steps: 1
trainer: {max_epochs: 3, num_sanity_val_steps: 0, enable_model_summary: false, enable_progress_bar: false, log_every_n_steps: 1}
"""
Command = Callable[[Plan], list[str]]


def run(plan: Plan, record: Record) -> None:
    """Fifty kills in a full run."""
    attempts = {
        "extraction": (_ExtractionKills(plan), plan.count(16, 1)),
        "fit": (_TrainingKills(plan, "fit", _fit_command), plan.count(20, 1)),
        "refine": (_TrainingKills(plan, "refine", _refine_command), plan.count(14, 0)),
    }
    for sort, (kills, count) in attempts.items():
        for number in range(count):
            share = random.Random(f"{plan.seed} kill {sort} {number}").uniform(0.02, 1.02)
            record.attempt(f"{sort} {number}, at {share:.0%} of the time", lambda folder, share=share, kills=kills: kills(folder, share))
        if count:
            record.notes.append(f"{sort}: {', '.join(f'{n} {what}' for what, n in sorted(kills.seen.items()))}")


def _fit_command(plan: Plan) -> list[str]:
    return ["fit", "--config", str(plan.fixtures / RECIPE), "--trainer.max_epochs", str(EPOCHS), "--every_n_steps", "2"]


def _refine_command(plan: Plan) -> list[str]:
    (plan.fixtures / "refine.yaml").write_text(REFINE)
    return [
        "refine",
        "--config",
        str(plan.fixtures / "refine.yaml"),
        "--model.start",
        str(plan.fixtures / "whole-fit" / "runs" / "run" / "model"),
    ]


class _TrainingKills:
    """Kills of one command that trains. The uninterrupted run comes first, in a folder of the fixtures."""

    def __init__(self, plan: Plan, name: str, command: Command) -> None:
        self.plan, self.name, self.command = plan, name, command
        self.whole: Path | None = None
        self.seconds = 0.0
        self.seen: Counter[str] = Counter()

    def __call__(self, folder: Path, share: float) -> Result:
        if self.whole is None:
            self._run_whole()
        assert self.whole is not None
        self._run(folder, kill_after=share * self.seconds)
        if problem := damaged_file(folder):
            return Result(Outcome.LOST, f"after the kill: {problem}")
        resumable = (folder / "runs" / "run" / "checkpoints" / "last.ckpt").exists()
        ended = self._run(folder, "--ckpt_path", "last")
        result = classify(ended)
        if result.outcome is not Outcome.GOOD:
            return result
        self.seen["resumed" if resumable else "killed before the first checkpoint"] += 1
        return self._compare(folder, resumable)

    def _run_whole(self) -> None:
        self.whole = self.plan.fixtures / f"whole-{self.name}"
        self.whole.mkdir()
        ended = self._run(self.whole)
        self.seconds = ended.seconds
        result = classify(ended)
        if result.outcome is not Outcome.GOOD:
            raise RuntimeError(f"the uninterrupted run of {self.name} failed: {result.detail}")

    def _run(self, folder: Path, *arguments: str, kill_after: float | None = None) -> Ended:
        data = ["--data.root", str(self.plan.fixtures / SHAPES), "--data.cache_dir", "cache", "--runs", "runs", "--name", "run"]
        return run_command([*self.command(self.plan), *data, *arguments], folder, timeout=180, kill_after=kill_after)

    def _compare(self, folder: Path, resumable: bool) -> Result:
        assert self.whole is not None
        if leftovers := [path.name for path in folder.rglob("*") if is_temporary(path)]:
            self.seen["with left-over temporary files"] += 1
            return Result(Outcome.LOST, f"left over after the resumed run: {leftovers[:5]}")
        if problem := damaged_file(folder):
            return Result(Outcome.LOST, problem)
        for name in ("model.safetensors", "metrics.json"):
            here, there = (path / "runs" / "run" / "model" / name for path in (folder, self.whole))
            if not here.exists() or here.read_bytes() != there.read_bytes():
                self.seen["differ from the uninterrupted run"] += 1
                return Result(Outcome.LOST, f"{name} differs from that of the uninterrupted run{' (not resumed)' * (not resumable)}")
        self.seen["equal to the uninterrupted run to the last bit"] += 1
        return Result(Outcome.GOOD)


class _ExtractionKills:
    """Kills of the computation of features. The cache must be absent or whole, and the next start must complete it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.digest = ""
        self.seconds = 0.0
        self.seen: Counter[str] = Counter()

    def __call__(self, folder: Path, share: float) -> Result:
        if not self.digest:
            whole = self.plan.fixtures / "whole-cache"
            whole.mkdir()
            ended = self._run(whole)
            self.seconds, self.digest = ended.seconds, _digest(whole)
            if ended.status:
                return classify(ended)
        self._run(folder, kill_after=share * self.seconds)
        for path in (folder / "cache").glob("*.json"):
            if not path.name.startswith(".") and not path.with_suffix(".npy").exists():
                return Result(Outcome.LOST, f"{path.name} without its payload")
        self.seen["whole before the second start" if _digest(folder) == self.digest else "computed again"] += 1
        ended = self._run(folder)
        result = classify(ended)
        if result.outcome is not Outcome.GOOD:
            return result
        if _digest(folder) != self.digest:
            return Result(Outcome.LOST, "the cache differs from that of the uninterrupted run")
        leftovers = [path.name for path in folder.rglob("*") if is_temporary(path)]
        return Result(Outcome.LOST, f"left over after the second start: {leftovers[:5]}") if leftovers else Result(Outcome.GOOD)

    def _run(self, folder: Path, kill_after: float | None = None) -> Ended:
        def action() -> None:
            import torch

            from showattend.data.captions import read_captions
            from showattend.data.transforms import Preprocessing
            from showattend.encoders import EncoderConfig, make_encoder
            from showattend.features.cache import open_or_build_cache
            from showattend.features.manifest import RowOptions

            torch.manual_seed(0)
            encoder = make_encoder(EncoderConfig("mobilenet_v3_large", "none")).eval()
            photos = read_captions(self.plan.fixtures / SHAPES).split("train") * 4
            open_or_build_cache(photos, RowOptions(Preprocessing(96, "crop"), encoder), Path("cache"), batch_size=4, workers=0)

        return run_forked(action, folder, timeout=120, kill_after=kill_after)


def _digest(folder: Path) -> str:
    """The digest of the rows of the cache in a folder; empty: there is no whole cache."""
    payloads = [path for path in (folder / "cache").glob("*.npy") if not is_temporary(path) and path.with_suffix(".json").exists()]
    return hashlib.sha256(payloads[0].read_bytes()).hexdigest() if len(payloads) == 1 else ""


def is_temporary(path: Path) -> bool:
    """Whether a file or folder has the name of a temporary one."""
    return path.name.startswith(".") or bool(re.search(r"\.(tmp|part)\b", path.name))


def damaged_file(folder: Path) -> str:
    """The first file that has its final name and is not whole; empty: there is none."""
    import torch

    for path in sorted(folder.rglob("*")):
        if any(is_temporary(part) for part in (path, *path.relative_to(folder).parents)) or not path.is_file():
            continue
        try:
            if path.suffix == ".ckpt":
                torch.load(path, map_location="cpu", weights_only=True)
            elif path.suffix == ".json":
                json.loads(path.read_text())
            elif path.name == "model.safetensors":
                config = json.loads(path.with_name("config.json").read_text())
                assert config["sha256"][path.name] == hashlib.sha256(path.read_bytes()).hexdigest(), "not what config.json was written for"
        except Exception as error:
            return f"{path.relative_to(folder)} is not whole: {error}"
    return ""
