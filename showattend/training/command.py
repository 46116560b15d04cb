"""The commands `fit`, `refine`, `validate` and `test`: LightningCLI, with one fresh folder for each run."""

import logging
import re
import sys
import warnings
from argparse import ArgumentError
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    ModelSummary,
    TQDMProgressBar,
)
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from showattend.errors import InputError, unknown_name
from showattend.metrics import monitor_choices
from showattend.training.callbacks import ModelWriter, moving_average
from showattend.training.captioner import LitCaptioner
from showattend.training.datamodule import CaptionDataModule
from showattend.training.runs import keep_metrics, make_run_folder, resumed_folder
from showattend.training.self_critical import LitSelfCritical


def monitors() -> dict[str, str]:
    """The validation metrics that may select the best checkpoint, each with `max` or `min`, the direction of better."""
    return {**monitor_choices(), "val_loss": "min"}


def train(arguments: Sequence[str]) -> int:
    """Run `fit`, `refine`, `validate` or `test` as the command line asks, or a program in its place."""
    command, *rest = arguments
    # Lightning's own announcements, an advertisement among them; warnings and errors still come through.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for harmless in (
            ".*args parameter is intended to run from within Python.*",
            # The encoder is in eval mode on purpose, and the loaders' workers are the user's choice.
            ".*in eval mode at the start of training.*",
            ".*does not have many workers.*",
            ".*The number of training batches.*is smaller than the logging interval.*",
            # Checkpoints are read without the callbacks that wrote them, and a resumed run has kept its earlier metrics.
            ".*callbacks used to create the checkpoint need to be provided.*",
            ".*directory .* exists and is not empty.*",
            ".*treespec, LeafSpec.*",
        ):
            warnings.filterwarnings("ignore", harmless)
        try:
            TrainingCLI(
                LitSelfCritical if command == "refine" else LitCaptioner,
                CaptionDataModule,
                # Lightning knows no refine: it is the same loop over another step.
                args=["fit" if command == "refine" else command, *rest],
                save_config_kwargs={"overwrite": True},
                parser_kwargs={"exit_on_error": False},
                auto_configure_optimizers=False,
                trainer_defaults={"devices": 1},
            )
        except (ArgumentError, MisconfigurationException) as error:
            # Options have their full names there, behind Lightning's name of the command.
            message = re.sub(r"\b(?:fit|validate|test)\.(?=\w)", "--", " ".join(str(error).split()))
            raise InputError(f"{message}: see showattend {command} --help") from error
    return 0


class TrainingCLI(LightningCLI):
    """Lightning's command line for the captioner and its data."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The trainer's methods that make sense here."""
        skipped = {"model", "dataloaders", "train_dataloaders", "val_dataloaders", "datamodule"}
        return dict.fromkeys(("fit", "validate", "test"), skipped)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What belongs to the run and not to the model, the data or the trainer."""
        parser.add_argument("--name", type=str | None, default=None, help="folder of the run in --runs; null: the config's name")
        parser.add_argument("--runs", type=str, default="runs", help="folder of all runs")
        parser.add_argument(
            "--monitor", type=str, default="val_bleu4", help=f"validation metric that selects the best checkpoint: {', '.join(monitors())}"
        )
        parser.add_argument("--patience", type=int, default=5, help="stop after this many validations without a better model")
        parser.add_argument(
            "--ema", type=float, default=0.0, help="decay of an exponential moving average of the weights, such as 0.999; 0: none"
        )
        parser.link_arguments("data.tokens", "model.tokens", apply_on="instantiate")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Give the trainer its folder, its logs and its checkpoints."""
        chosen = self.config[str(self.subcommand)]
        if self.subcommand != "fit":
            self.save_config_callback = None
            return self._one_device(super().instantiate_trainer(logger=False, enable_checkpointing=False, **kwargs))
        if not 0 <= chosen.ema < 1:
            raise InputError(f"ema is {chosen.ema}: give at least 0 and less than 1")
        directions = monitors()
        if chosen.monitor not in directions:
            raise unknown_name("monitor", chosen.monitor, directions)
        self.datamodule.photos.split("val")
        folder = self._folder(chosen)
        loggers = [logger(save_dir=folder, name="", version="") for logger in (CSVLogger, TensorBoardLogger)]
        callbacks: list[Callback] = [
            ModelCheckpoint(folder / "checkpoints", "best", chosen.monitor, mode=directions[chosen.monitor], enable_version_counter=False),
            # One of its own, for save_last writes only along with a better one; behind it, for the trainer's own is the first.
            ModelCheckpoint(folder / "checkpoints", "last", enable_version_counter=False),
            EarlyStopping(chosen.monitor, mode=directions[chosen.monitor], patience=chosen.patience),
            LearningRateMonitor("step"),
            ModelWriter(folder / "model", trained_on=str(chosen.data.root)),
        ]
        if chosen.trainer.enable_progress_bar is not False:
            # In a log file every refresh is a line.
            callbacks.append(TQDMProgressBar(refresh_rate=1 if sys.stdout.isatty() else 50))
        if chosen.trainer.enable_model_summary is not False:
            callbacks.append(ModelSummary())  # the same whether or not rich is installed
        if chosen.ema:
            callbacks.append(moving_average(chosen.ema))
        self.trainer_defaults = {**self.trainer_defaults, "callbacks": callbacks}
        self.folder = folder
        try:
            return self._one_device(super().instantiate_trainer(logger=loggers, default_root_dir=folder, **kwargs))
        except Exception:
            if not any(folder.iterdir()):
                folder.rmdir()
            raise

    @staticmethod
    def _one_device(trainer: Trainer) -> Trainer:
        if trainer.world_size > 1:
            raise InputError(f"captions are validated on one device, not {trainer.world_size}: give --trainer.devices 1")
        return trainer

    def _folder(self, chosen: Any) -> Path:
        configs = chosen.get("config") or []
        chosen.name = chosen.name or (Path(configs[-1].relative).stem if configs else "fit")
        wanted = Path(chosen.runs) / chosen.name
        if chosen.ckpt_path == "last":
            self.save_config_callback = None  # the run's first configuration stands
            return resumed_folder(wanted)
        return make_run_folder(wanted)

    def _parse_ckpt_path(self) -> None:
        """Lightning reads the model's options from the checkpoint: say so in one line where it cannot."""
        path = self.config[self.config.subcommand].get("ckpt_path")
        if self.config.subcommand == "fit" and path in (None, "last"):
            return
        if path in (None, "last", "best"):
            raise InputError(f"{self.config.subcommand} needs a checkpoint: give --ckpt_path runs/NAME/checkpoints/best.ckpt")
        try:
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:  # whatever the unpickler stumbles over in a damaged file
            raise InputError(f"cannot read the checkpoint {path} ({error}): give last, or the path of a .ckpt file") from error
        super()._parse_ckpt_path()

    def before_fit(self) -> None:
        """Say where everything will be."""
        keep_metrics(self.folder)
        print(f"Training on {self.trainer.strategy.root_device}. This run: {self.folder}")
        print("  (config.yaml, metrics.csv, TensorBoard's events, checkpoints/, and in model/ the best model so far)")

    def after_fit(self) -> None:
        """Say what came of it and what to do next."""
        best = self.trainer.checkpoint_callback
        if isinstance(best, ModelCheckpoint) and best.best_model_score is not None:
            print(f"Best {best.monitor}: {float(best.best_model_score):.4f}")
            print(f"The finished model: {self.folder / 'model'}. Try: showattend caption PHOTO --model {self.folder / 'model'}")
        else:
            print("No model was kept: training ended before its first validation. Train longer, or lower --trainer.check_val_every_n_epoch")
