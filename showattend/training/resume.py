"""What makes a resumed run the uninterrupted one: its position in the data, all random states, and the same options."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import lightning
import msgspec
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from showattend.config_checks import flatten
from showattend.errors import InputError
from showattend.training.checkpoints import BEST
from showattend.training.metrics_file import MetricsFile
from showattend.training.processes import gather
from showattend.training.random_states import RandomStates, get_random_states, seed_process, set_random_states

Count = Annotated[int, msgspec.Meta(ge=0)]
# Options that change the numbers of a run: it cannot be resumed with others.
FIXED = (
    "model.",
    "data.layout",
    "data.batch_size",
    "data.batching",
    "data.captions_per_photo",
    "data.flip",
    "data.crop",
    "data.cache",
    "data.shuffle_buffer",
    "data.min_count",
    "data.max_words",
    "ema",
    "monitor",
    "trainer.accumulate_grad_batches",
    "trainer.precision",
)
# What runs did before these options were there: their checkpoints do not name them.
DEFAULTS_OF_NEW = {"data.cache": "features", "data.shuffle_buffer": None}
# Options that change no number of a run, or that are compared elsewhere.
FREE = (
    "config",
    "ckpt_path",
    "weights_only",
    "name",
    "runs",
    "trust",
    "every_n_steps",
    "seed_everything",
    "data.cache_dir",
    "data.num_workers",
    "trainer.enable_",
    "trainer.logger",
    "trainer.callbacks",
    "trainer.plugins",
    "trainer.default_root_dir",
    "trainer.log_every_n_steps",
    "trainer.num_sanity_val_steps",
)


class Position(NamedTuple):
    """Where a run is: epochs that are done, and batches of the epoch after them."""

    epoch: int
    batch: int


class ResumeRecord(msgspec.Struct):
    """What a checkpoint's record for resuming holds, see `ResumeState`; to check one that was read."""

    epoch: Count
    batch: Count
    data_seed: int
    metrics_rows: Count
    random: RandomStates
    options: dict[str, Any]
    shuffle_buffer: int | None = 0
    random_of_others: list[RandomStates] = []


def current_position(trainer: lightning.Trainer) -> Position:
    """The position of a run between two training steps, during a validation or at the end of an epoch."""
    loop = trainer.fit_loop
    epochs: Any = loop.epoch_progress.current
    batches = loop.epoch_loop.batch_progress.current.completed
    # At the end of an epoch Lightning has counted it already.
    epoch = epochs.processed - 1 if epochs.processed == epochs.started and epochs.started else epochs.processed
    return Position(epoch + 1, 0) if batches >= trainer.num_training_batches else Position(epoch, batches)


class ResumeState(Callback):
    """Add to each checkpoint what an exact resumption needs, and restore it.

    Lightning restores weights, optimiser, schedule and callbacks. Its loops restart well from some hooks only, and know nothing of
    random states; here their progress is set to the position, as it is in a run that has come there without a stop.
    """

    def __init__(self, options: Mapping[str, Any], metrics: MetricsFile) -> None:
        self.options = dict(options)
        self.metrics = metrics
        self.resumed: dict[str, Any] | None = None

    def on_save_checkpoint(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add position, random states of all processes, options and the length of metrics.csv."""
        states = gather(get_random_states())
        checkpoint["resume"] = {
            **current_position(trainer)._asdict(),
            "data_seed": trainer.datamodule.seed,  # type: ignore[attr-defined]
            "shuffle_buffer": trainer.datamodule.shuffle_buffer,  # type: ignore[attr-defined]
            "metrics_rows": self.metrics.flush() if trainer.is_global_zero else 0,
            "random": states[0],
            "random_of_others": states[1:],
            "options": self.options,
        }

    def on_load_checkpoint(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Set the seed and the position of the data, whose loaders are built after this."""
        self.resumed = checkpoint["resume"]
        order = self.resumed["data_seed"], self.resumed.get("shuffle_buffer", 0)
        trainer.datamodule.resume(*order, self.resumed["epoch"], self.resumed["batch"])  # type: ignore[attr-defined]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Let each process draw other numbers, and set the progress of Lightning's loops to the position."""
        if trainer.global_rank:
            seed_process(trainer.datamodule.seed, trainer.global_rank)  # type: ignore[attr-defined]
        if self.resumed is None:
            return
        loop = trainer.fit_loop
        steps = loop.epoch_loop
        loop.restarting = False
        for each in (loop, steps, steps.val_loop):
            each.reset_restart_stage()
        for counts in (loop.epoch_progress.total, loop.epoch_progress.current):
            _set_counts(counts, self.resumed["epoch"])
        batches = steps.batch_progress
        _set_counts(batches.total, batches.total.completed)
        _set_counts(batches.current, self.resumed["batch"])
        batches.is_last_batch = False
        steps._batches_that_stepped = trainer.global_step
        if self.resumed["batch"]:
            # Within an epoch the inner loop keeps its count only when it restarts, and then counts one step too many.
            steps._restarting = True
            steps._batches_that_stepped -= 1

    def on_train_batch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int) -> None:
        """Restore the random states before the first step: whatever the start has drawn is undone.

        Processes that the resumed run did not have draw as in a new run.
        """
        if self.resumed is None:
            return
        states = [self.resumed["random"], *self.resumed.get("random_of_others", [])]
        if trainer.global_rank < len(states):
            set_random_states(states[trainer.global_rank])
        self.resumed = None


def _set_counts(counts: Any, done: int) -> None:
    for name in ("ready", "started", "processed", "completed"):
        setattr(counts, name, done)


class BestCheckpoint(ModelCheckpoint):
    """The best checkpoint of a run whose folder may have moved; where its file is missing, as in a new folder, there is none yet."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score, with the file's path as it is now."""
        path = Path(str(self.dirpath)) / BEST
        if not path.exists():
            return
        best = {str(path): score for score in state_dict["best_k_models"].values()}
        paths = {"dirpath": self.dirpath, "best_model_path": str(path), "kth_best_model_path": str(path), "best_k_models": best}
        super().load_state_dict({**state_dict, **paths})


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that takes its patience from the options, and stops a resumed run that had stopped."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore all but the patience."""
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop at once where the patience is at its end."""
        if self.wait_count and self.wait_count >= self.patience:
            trainer.should_stop = True


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Nested options as one dictionary of full names to plain values, without those that change nothing."""
    return {
        name: value if isinstance(value, bool | int | float | str | None) else str(value)
        for name, value in flatten(options)
        if not name.startswith(FREE)
    }


def check_options(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Compare the options of a run with those that it is resumed with.

    Returns:
        the differences that a run may be resumed with, for the user

    Raises:
        InputError: the others.
    """
    old = {**DEFAULTS_OF_NEW, **old}
    differences = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    for name in differences:
        if name.startswith(FIXED):
            raise InputError(
                f"--{name} is {new.get(name)}, but the run to resume has {old.get(name)}: "
                "give the same options, or train anew without --ckpt_path"
            )
    return [f"{name} {new.get(name)} (was {old.get(name)})" for name in differences]
