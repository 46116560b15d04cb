"""LightningCLI with showattend's configuration dataclasses, and one fresh folder for each run."""

import os
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger

from showattend.console import print_error, printable
from showattend.data.json_files import check_schema
from showattend.errors import InputError
from showattend.files import writable, write_text
from showattend.ops.fusing import fuse_mode
from showattend.training.base import BaseLitModule
from showattend.training.callbacks import make_callbacks
from showattend.training.captioner import LitCaptioner
from showattend.training.checkpoints import AtomicCheckpointIO, check_hyper_parameters, read_checkpoint
from showattend.training.config import CaptionerConfig, RefineConfig
from showattend.training.datamodule import CaptionDataModule
from showattend.training.launching import cluster_environment, is_first_process, tie_to_first_process
from showattend.training.metrics_file import MetricsFile
from showattend.training.resume import ResumeRecord, ResumeState, check_options, plain_options
from showattend.training.run_config import DataConfig, RunConfig, trusted_modules
from showattend.training.runs import last_checkpoint, lock_run_folder, make_run_folder
from showattend.training.self_critical import LitSelfCritical
from showattend.training.synced_batch_norm import SyncedBatchNorms
from showattend.training.trainer_options import check_processes, check_trainer_options, is_one_process

# Options that say what a checkpoint's weights are of.
OF_THE_WEIGHTS = ("model.decoder.", "model.preprocessing.", "model.encoder.name", "model.encoder.layer", "model.encoder.stride")


class ConfigFile(SaveConfigCallback):
    """config.yaml of a run, whole or not there."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write all options."""
        # Not trainer.log_dir, which is a message to the other processes.
        write_text(Path(trainer.default_root_dir) / self.config_filename, self.parser.dump(self.config, skip_none=False))


class TrainingCLI(LightningCLI):
    """The commands `fit`, `validate` and `test` over a captioner and its data.

    Args:
        refine: train a finished model further (self-critical training) instead of a new one
        args: the command, and the command line after it
    """

    def __init__(self, *, refine: bool, args: list[str], **options: Any) -> None:
        self.config_class: type[Any] = RefineConfig if refine else CaptionerConfig
        self.module_class: Any = LitSelfCritical if refine else LitCaptioner
        self.arguments = args
        super().__init__(BaseLitModule, CaptionDataModule, args=args, **options)

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The trainer's methods that are commands."""
        skipped = {"model", "dataloaders", "train_dataloaders", "val_dataloaders", "datamodule"}
        return dict.fromkeys(("fit", "validate", "test"), skipped)

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The options of run, data, model and trainer, in the order of `--help`."""
        parser.add_class_arguments(RunConfig)
        parser.add_class_arguments(DataConfig, "data")
        # Mirrored photos are an option of the data.
        parser.add_class_arguments(self.config_class, "model", skip={"preprocessing.flip"})
        parser.add_lightning_class_args(Trainer, "trainer")
        parser.set_defaults({f"trainer.{name}": value for name, value in self.trainer_defaults.items() if name != "callbacks"})

    def _set_seed(self) -> None:
        """Seed as Lightning does, after a check of the number."""
        seed = self._get(self.config, "seed_everything")
        if isinstance(seed, int) and not isinstance(seed, bool) and not 0 <= seed < 2**32:
            raise InputError(f"seed_everything is {seed}: give at least 0 and less than {2**32}")
        super()._set_seed()

    def instantiate_classes(self) -> None:
        """Build the configurations, the data, the model to the size of its vocabulary, and the trainer."""
        self.config_init = self.parser.instantiate_classes(self.config)
        options = self.config[str(self.subcommand)]
        self.run = RunConfig(**{field.name: options[field.name] for field in fields(RunConfig)})
        check_trainer_options(options.trainer)
        self.datamodule = CaptionDataModule(self._get(self.config_init, "data"))
        self.model = self.module_class(self.datamodule.vocabulary, self._get(self.config_init, "model"), trust=self.run.trusted)
        self.trainer = self.instantiate_trainer()
        # Lightning does it after it has copied the weights for their average and has read those of a checkpoint, which it would round.
        self.model = self.trainer.precision_plugin.convert_module(self.model)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer; for `fit` with the run's folder, logs and checkpoints."""
        options = self.config[str(self.subcommand)].trainer
        one_process = is_one_process(options)
        environment = cluster_environment(one_process=one_process, nodes=options.num_nodes)
        self.is_first = is_first_process(environment, one_process=one_process)
        if not one_process:
            tie_to_first_process()
        plugins = self._get(self.config_init, "trainer").get("plugins") or []
        kwargs["plugins"] = [*(plugins if isinstance(plugins, list) else [plugins]), environment, SyncedBatchNorms()]
        kwargs |= {"sync_batchnorm": False, "use_distributed_sampler": False}  # both are done here
        if self.subcommand != "fit":
            self.save_config_callback = None
            return self._checked(super().instantiate_trainer(logger=False, enable_checkpointing=False, **kwargs))
        self.datamodule.photos.split("val")  # an error now, not after an epoch
        self._name_run()
        resumed = self._find_checkpoint()
        self.folder = self._make_folder()
        metrics = MetricsFile(self.folder, resumed.get("metrics_rows", 0) if self.folder_is_resumed else 0)
        callbacks = make_callbacks(
            self.run,
            self.folder,
            ResumeState(self.plain_options, metrics),
            trained_on=Path(os.path.expanduser(self.datamodule.config.root)).resolve().name,  # a path would tell strangers of folders
            progress_bar=options.enable_progress_bar is not False,
            model_summary=options.enable_model_summary is not False,
        )
        self.trainer_defaults = {**self.trainer_defaults, "callbacks": callbacks}
        # TensorBoard hides the events that the resumed run writes again.
        board = TensorBoardLogger(self.folder, name="", version="", purge_step=resumed.get("steps", 0 if self.folder_is_resumed else None))
        kwargs["plugins"].append(AtomicCheckpointIO())
        try:
            return self._checked(super().instantiate_trainer(logger=[metrics, board], default_root_dir=self.folder, **kwargs))
        except Exception as error:
            if self.is_first and not self.folder_is_resumed and not any(self.folder.iterdir()):
                self.folder.rmdir()
            if isinstance(error, ValueError | TypeError | ImportError) and not isinstance(error, InputError):
                raise InputError(f"the trainer refuses an option: {' '.join(str(error).split())}") from error
            raise

    def _checked(self, trainer: Trainer) -> Trainer:
        check_processes(trainer, self.datamodule.config.batch_size)
        return trainer

    def _name_run(self) -> None:
        """Name the run after its last configuration file where it has no name, and note the options that its checkpoints hold."""
        options = self.config[str(self.subcommand)]
        configs = options.get("config") or []
        options.name = self.run.name or (Path(configs[-1].relative).stem if configs else "fit")
        self.plain_options = plain_options({**options.as_dict(), "model": asdict(self._get(self.config_init, "model"))})
        self.folder_is_resumed = options.ckpt_path == "last"

    def _find_checkpoint(self) -> dict[str, Any]:
        """What the checkpoint to resume holds for that; without one, nothing.

        Raises:
            InputError: it cannot be resumed, or not with these options.
        """
        options = self.config[str(self.subcommand)]
        self.differences: list[str] = []
        if options.ckpt_path is None:
            return {}
        folder = Path(self.run.runs) / options.name
        path = last_checkpoint(folder) if self.folder_is_resumed else Path(options.ckpt_path)
        if path is None:
            if self.is_first:
                print_error(f"{folder} holds no checkpoint yet: the run begins at its beginning")
            self.config_init[str(self.subcommand)]["ckpt_path"] = None
            return {}
        self.config_init[str(self.subcommand)]["ckpt_path"] = str(path)
        checkpoint = read_checkpoint(path)
        resume = checkpoint.get("resume")
        if not isinstance(resume, dict) or not isinstance(checkpoint.get("global_step"), int):
            raise InputError(f"{path} holds no position to resume from: give a checkpoint of showattend fit or refine")
        check_schema(resume, ResumeRecord, f"{path} holds no position to resume from")
        before = resume["options"]
        if isinstance(before.get("model.fuse"), bool):
            before["model.fuse"] = fuse_mode(before["model.fuse"])
        self.differences = check_options(before, self.plain_options)
        return {**resume, "steps": checkpoint["global_step"]}

    def _make_folder(self) -> Path:
        """A fresh folder in `runs`, or with `--ckpt_path last` the run's own.

        Only the first process makes, locks and writes it; the others get its name when they are connected, where they need it.
        """
        folder = Path(self.run.runs) / str(self.config[str(self.subcommand)].name)
        if not self.folder_is_resumed:
            return make_run_folder(folder) if self.is_first else folder
        if self.is_first:
            with writable(folder):
                folder.mkdir(parents=True, exist_ok=True)
            lock_run_folder(folder)
        if last_checkpoint(folder):
            self.save_config_callback = None  # the run's first configuration is kept
        return folder

    def _parse_ckpt_path(self) -> None:
        """Read the model's options from the checkpoint, as Lightning does, after a check of what they are; those that are given stay."""
        options = self.config[self.config.subcommand]
        path = options.get("ckpt_path")
        if self.config.subcommand == "fit" and path in (None, "last"):
            return
        if path in (None, "last", "best"):
            raise InputError(f"{self.config.subcommand} needs a checkpoint: give --ckpt_path runs/NAME/checkpoints/best.ckpt")
        trusted = trusted_modules(options.trust)
        if model := options.get("model"):  # the user has typed these paths
            trusted += [model.get(name) for name in ("encoder.name", "decoder.cell", "decoder.attention") if model.get(name)]
        check_hyper_parameters(read_checkpoint(Path(path))["hyper_parameters"], self.config_class, Path(path), trusted)
        given = {name: options[name] for name in self._given_model_options()}
        super()._parse_ckpt_path()
        options = self.config[self.config.subcommand]
        for name, value in given.items():
            if self.config.subcommand != "fit" and name.startswith(OF_THE_WEIGHTS) and value != options[name]:
                raise InputError(f"--{name} is {value}, but the checkpoint's weights are of {options[name]}: leave the option out")
            options[name] = value

    def _given_model_options(self) -> list[str]:
        """The names of the model's options on the command line, and of a run to resume in its recipes too.

        A recipe that is given to `validate` or `test` says where the data is: the model may have been trained with other options.
        """
        options = self.parser.parse_args(self.arguments, defaults=False)[self.config.subcommand]
        names = [name for name in options.keys() if name.startswith("model.")]  # noqa: SIM118 (of a Namespace)
        if self.config.subcommand == "fit":
            return names
        typed = [argument[2:].partition("=")[0] + "." for argument in self.arguments if argument.startswith("--model.")]
        return [name for name in names if any(f"{name}.".startswith(each) or each.startswith(f"{name}.") for each in typed)]

    def before_fit(self) -> None:
        """Print where the run's files will be."""
        if not self.is_first:
            return
        if self.differences:
            print_error(f"Resumed with other options: {', '.join(self.differences)}")
        device, processes = self.trainer.strategy.root_device, self.trainer.world_size
        place = str(device) if processes == 1 else f"{processes} devices ({device.type})"
        print(f"Training on {place}. This run: {printable(self.folder)}")
        print("  (config.yaml, metrics.csv, TensorBoard's events, checkpoints/, and in model/ the best model so far)")
        sys.stdout.flush()

    def after_fit(self) -> None:
        """Print the best score and what to do next."""
        if not self.is_first:
            return
        best = self.trainer.checkpoint_callback
        if isinstance(best, ModelCheckpoint) and best.best_model_score is not None:
            print(f"Best {best.monitor}: {float(best.best_model_score):.4f}")
            model = printable(self.folder / "model")
            print(f"The finished model: {model}. Try: showattend caption PHOTO --model {model}")
        else:
            print("No model was kept: training ended before its first validation. Train longer, or lower --trainer.check_val_every_n_epoch")
