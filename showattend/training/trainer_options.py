"""Options of Lightning's trainer that it accepts and then fails on, or that are of no use here: each is refused in one line."""

import math
import re
from typing import Any

import lightning
import torch

from showattend.errors import InputError, unknown_name

# Precisions that keep the weights themselves in 16 bits, and what to give instead.
HALF_PRECISIONS = {"16-true": "16-mixed", "bf16-true": "bf16-mixed"}
STRATEGIES = ("auto", "single_device", "ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true")


def check_trainer_options(options: Any) -> None:
    """Refuse what Lightning accepts and then fails on, or trains nothing with.

    Raises:
        InputError: an option is out of its range, or not possible here.
    """
    for name in ("accumulate_grad_batches", "check_val_every_n_epoch", "log_every_n_steps"):
        if options[name] is not None and options[name] < 1:
            raise InputError(f"trainer.{name} is {options[name]}: give at least 1")
    if options.gradient_clip_val is not None and not 0 <= float(options.gradient_clip_val) < math.inf:
        raise InputError(f"trainer.gradient_clip_val is {options.gradient_clip_val}: give at least 0 (0: no clipping)")
    if options.limit_val_batches == 0:
        raise InputError("trainer.limit_val_batches is 0: validation picks the best model, so give at least 1")
    if options.barebones:
        raise InputError("trainer.barebones is true, which turns off the checkpoints and logs that a run consists of: leave it out")
    if str(options.precision) in HALF_PRECISIONS:
        raise InputError(
            f"trainer.precision is {options.precision}, in which small updates and log-probabilities are lost: "
            f"give {HALF_PRECISIONS[str(options.precision)]}"
        )
    if isinstance(options.strategy, str) and options.strategy not in STRATEGIES:
        raise InputError(f"trainer.strategy is {options.strategy}: captioners train on several devices with ddp: give ddp, or leave it out")
    if isinstance(options.accelerator, str):
        _check_accelerator(options.accelerator)
    if options.strategy == "single_device" and not is_one_process(options):
        raise InputError(
            f"trainer.strategy is single_device, and trainer.devices {options.devices} on {options.num_nodes} nodes are several: give ddp"
        )


def _check_accelerator(name: str) -> None:
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    available = {"auto": True, "cpu": True, "gpu": cuda or mps, "cuda": cuda, "mps": mps}
    if name not in available:
        raise unknown_name("trainer.accelerator", name, available)
    if not available[name]:
        raise InputError(f"trainer.accelerator is {name}, and there is none here: give cpu, or leave it out")


def is_one_process(options: Any) -> bool:
    """Whether devices, a number or a list of numbers, mean one on one node: 1, [3] or `3,`; auto takes all GPUs."""
    written = str(options.devices).replace(" ", "")
    one_device = re.fullmatch(r"1|\[\d+\]|\d+,", written) is not None or (written == "auto" and torch.cuda.device_count() < 2)
    return one_device and options.num_nodes == 1


def check_processes(trainer: lightning.Trainer, batch_size: int) -> None:
    """Refuse a number of processes that is another one than asked for, or more than a step has photos.

    Raises:
        InputError: it is.
    """
    expected = trainer.num_devices * trainer.num_nodes
    if trainer.world_size != expected:
        raise InputError(
            f"trainer.devices and num_nodes are {trainer.num_devices} and {trainer.num_nodes}, but {trainer.world_size} processes were "
            f"started (SLURM's --ntasks, torchrun's --nproc-per-node): start {expected}"
        )
    if expected > batch_size:
        raise InputError(
            f"data.batch_size is {batch_size}, the photos of a step on all {expected} devices together: give at least {expected}, "
            "or fewer --trainer.devices"
        )
