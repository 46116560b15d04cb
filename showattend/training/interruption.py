"""Checkpoints in the course of a run, and a stop at SIGTERM, SIGUSR1 or Ctrl-C that keeps the work."""

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.utilities import rank_zero_only

from showattend.training.processes import largest, report

# SIGHUP: the terminal is closed; SIGUSR1: what batch systems usually send before a time limit.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def ignore_signals(worker: int) -> None:
    """For processes that read photos: the run answers a signal that all processes get, and reads what it needs until then."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class Terminated(SystemExit):
    """A signal has ended the run; the exit status is 128 plus its number."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(128 + signal_number)


class SignalCheckpoint(Callback):
    """Save the last checkpoint every n steps, and before the run ends at a signal.

    The hook before a step is the only one at which a run is in no half-done state: validation and logs of the step before are done.

    Args:
        path: of the last checkpoint
        every_n_steps: 0: only at a signal
    """

    def __init__(self, path: Path, every_n_steps: int) -> None:
        self.path = path
        self.every_n_steps = every_n_steps
        self.received: int | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take the signals over from Lightning, which restores the earlier handlers at the end."""
        if trainer.received_sigterm:
            self.received = signal.SIGTERM
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                    signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise Terminated(number)
        self.received = number
        if rank_zero_only.rank:  # type: ignore[attr-defined]  # of several processes, all of which Ctrl-C stops, one speaks
            return
        name = signal.Signals(number).name
        line = f"showattend: {name}: the run ends after this step, or this validation; a second signal ends it at once\n"
        with suppress(OSError):  # the terminal may be closed
            os.write(2, line.encode())  # not through the stream, which the signal may have interrupted

    def on_train_batch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int) -> None:
        """Save where a checkpoint is due; with accumulated gradients, which no checkpoint holds, a little later."""
        self._agree()
        due = self.received is not None or (self.every_n_steps and trainer.global_step % self.every_n_steps == 0)
        if not due or batch_idx % trainer.accumulate_grad_batches:
            return
        if batch_idx:  # at the first batch the epoch's end has saved the same
            trainer.save_checkpoint(self.path, weights_only=False)
        self.stop_if_received()

    def _agree(self) -> None:
        """What one process has received, all have."""
        self.received = largest(self.received or 0) or None

    def stop_if_received(self) -> None:
        """End the run where a signal has come, in all processes at the same step.

        Raises:
            Terminated: it has.
        """
        self._agree()
        if self.received is not None:
            if self.path.exists():
                report(f"showattend: stopped; {self.path} is saved: resume with the same command, --name and --ckpt_path last")
            else:
                report("showattend: stopped before there was a step to save")
            raise Terminated(self.received)


class EpochCheckpoint(Checkpoint):
    """Save the last checkpoint after each epoch; after early stopping and the best checkpoint are updated."""

    def __init__(self, signals: SignalCheckpoint) -> None:
        self.signals = signals

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save, and end the run if a signal has come."""
        trainer.save_checkpoint(self.signals.path, weights_only=False)
        self.signals.stop_if_received()
