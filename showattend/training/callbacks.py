"""The callbacks of a run: checkpoints, early stopping, the best model so far as a finished one, a stop when training diverges."""

import copy
import sys
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import (
    Callback,
    LearningRateMonitor,
    ModelCheckpoint,
    ModelSummary,
    TQDMProgressBar,
    WeightAveraging,
)
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from showattend.errors import InputError
from showattend.pretrained import Pretrained, save_pretrained
from showattend.training.base import BaseLitModule
from showattend.training.checkpoints import BEST, LAST, read_checkpoint
from showattend.training.history import RunHistory
from showattend.training.interruption import EpochCheckpoint, SignalCheckpoint, Terminated
from showattend.training.processes import from_first
from showattend.training.resume import BestCheckpoint, ResumableEarlyStopping, ResumeState
from showattend.training.run_config import MONITORS, RunConfig
from showattend.training.synced_batch_norm import SyncedBatchNorms

GPU_CHECK_STEPS = 50


def make_callbacks(
    run: RunConfig, folder: Path, resume: ResumeState, *, trained_on: str, progress_bar: bool, model_summary: bool
) -> list[Callback]:
    """The callbacks of `fit` and `refine`, in the order in which their hooks must run.

    Args:
        folder: of the run
        trained_on: for the model card
    """
    mode, checkpoints = MONITORS[run.monitor], folder / "checkpoints"
    signals = SignalCheckpoint(checkpoints / LAST, run.every_n_steps)
    callbacks: list[Callback] = [
        # Before all that log or draw at a step: a checkpoint before the step must be as if none of it had happened.
        resume,
        signals,
        StopOnDivergence(folder),
        BestCheckpoint(checkpoints, Path(BEST).stem, run.monitor, mode=mode, enable_version_counter=False),
        # After the best one, whose state it holds; and the trainer's own is the first.
        EpochCheckpoint(signals),
        ResumableEarlyStopping(run.monitor, mode=mode, patience=run.patience, check_on_train_epoch_end=False),
        LearningRateMonitor("step"),
        ModelWriter(folder / "model", trained_on=trained_on),
        RunHistory(folder, run.monitor, run.history_photos),
    ]
    if progress_bar:
        # In a log file every refresh is a line.
        callbacks.append(TQDMProgressBar(refresh_rate=1 if sys.stdout.isatty() else 50))
    if model_summary:
        callbacks.append(ModelSummary())  # the same whether or not rich is installed
    if run.ema:
        callbacks.append(moving_average(run.ema))
    return callbacks


def moving_average(decay: float) -> WeightAveraging:
    """An exponential moving average of the weights, m <- d m + (1 - d) w, with d growing to the decay as (1 + n) / (10 + n).

    A constant d would keep the random weights of the beginning for long: at 0.999, a third of them after 1,000 steps.
    """

    # Lightning's own EMAWeightAveraging adds two products: frozen weights would drift by their rounding.
    def average(averaged: list[Tensor], current: list[Tensor], num_averaged: Tensor | int) -> None:
        steps = int(num_averaged)
        get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))(averaged, current, num_averaged)

    return WeightAveraging(multi_avg_fn=average)


class ModelWriter(lightning.Callback):
    """Write the best checkpoint as a model folder whenever there is a better one, so that an interrupted run leaves a model too."""

    def __init__(self, folder: Path, trained_on: str) -> None:
        self.folder = folder
        self.trained_on = trained_on
        self.written: float | None = None

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the last epoch's: checkpoints are saved after all other callbacks have run."""
        self._write(trainer, pl_module)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The last epoch may have been the best."""
        self._write(trainer, pl_module)

    def on_exception(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException) -> None:
        """A run that ends at a signal leaves its best model too."""
        if isinstance(exception, Terminated):
            self._write(trainer, pl_module)

    def _write(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        checkpoint = trainer.checkpoint_callback
        if not (trainer.is_global_zero and isinstance(checkpoint, ModelCheckpoint) and isinstance(pl_module, BaseLitModule)):
            return
        # Relative to the run's folder, which may have moved since the run began.
        path = self.folder.parent / "checkpoints" / BEST
        score = None if checkpoint.best_model_score is None else float(checkpoint.best_model_score)
        if not path.exists() or (score is not None and score == self.written):
            return
        self.written = score
        saved = read_checkpoint(path)
        # A copy: training continues with the network's own weights.
        network = copy.deepcopy(pl_module.network).cpu()
        SyncedBatchNorms().revert(network)
        state = {name.removeprefix("network."): tensor for name, tensor in saved["state_dict"].items() if name.startswith("network.")}
        network.load_state_dict(state)
        model = Pretrained(network, pl_module.vocabulary, pl_module.preprocessing, pl_module.generation, saved["scores"], self.trained_on)
        save_pretrained(model, self.folder)


class StopOnDivergence(lightning.Callback):
    """Stop the run at a loss or weight that is not finite, before a checkpoint of it is saved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Only the first process knows the folder's name."""
        self.folder = from_first(self.folder)

    def on_before_backward(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, loss: torch.Tensor) -> None:
        """Check the loss; on a GPU, which a check makes wait, only every GPU_CHECK_STEPS."""
        if loss.is_cuda and trainer.global_step % GPU_CHECK_STEPS:
            return
        if not torch.isfinite(loss):
            raise self._error(trainer, f"the loss is {loss.item()}")

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Check the weights before they are validated, and saved after it."""
        self._check_weights(trainer, pl_module)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Check the loss of the validation photos, which may overflow while all weights are finite, before the best checkpoint."""
        loss = trainer.callback_metrics.get("val_loss")
        if loss is not None and not torch.isfinite(loss):
            raise self._error(trainer, f"val_loss is {loss.item()}")

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Check the weights before the epoch's checkpoint."""
        self._check_weights(trainer, pl_module)

    def on_save_checkpoint(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Check the weights before any other checkpoint, such as one within an epoch."""
        self._check_weights(trainer, pl_module)

    def _check_weights(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        for name, parameter in pl_module.named_parameters():
            if not torch.isfinite(parameter).all():
                raise self._error(trainer, f"the weight {name.removeprefix('network.')} is not finite")

    def _error(self, trainer: lightning.Trainer, problem: str) -> InputError:
        rate = trainer.optimizers[0].param_groups[0]["lr"] if trainer.optimizers else 0.0
        last = self.folder / "checkpoints" / LAST
        checkpoint = f"the last good checkpoint is {last}" if last.exists() else "there is no good checkpoint yet"
        return InputError(
            f"training diverged: {problem} at step {trainer.global_step}, learning rate {rate:.3g}; {checkpoint}: "
            "try a lower --model.optimizer.learning_rate, or --trainer.gradient_clip_val 1.0"
        )
