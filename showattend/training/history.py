"""What a run keeps for `showattend report` besides metrics.csv: seconds and memory of each epoch, and how some captions grew."""

import copy
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import lightning
import torch

from showattend.console import print_error
from showattend.errors import InputError
from showattend.files import write_text
from showattend.inference import Captioner
from showattend.pretrained import Pretrained
from showattend.training.base import BaseLitModule

FOLDER = "history"


class RunHistory(lightning.Callback):
    """Writes into history/ of the run: about.json, and for each epoch a small JSON file; of several processes the first one does.

    epoch-0003.json holds the seconds since the last one's end, the peak of memory so far in bytes, and after a validation the captions
    and maps of the same few validation photos. Captions are made by a copy of the network, so that the run goes on as without this.

    Args:
        folder: of the run
        monitor: metric that selects the best checkpoint
        photos: validation photos whose captions are kept; 0: none
    """

    def __init__(self, folder: Path, monitor: str, photos: int) -> None:
        self.folder, self.monitor, self.photos = folder / FOLDER, monitor, photos
        self.started = time.monotonic()
        self.grown: list[dict[str, Any]] = []

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write what the figures of the run are measured on."""
        if not trainer.is_global_zero:
            return
        data: Any = getattr(trainer, "datamodule", None)
        sizes = {split: len(data.datasets[split]) for split in ("train", "val") if data and split in data.datasets}
        about = {
            "monitor": self.monitor,
            "photos": sizes,
            "search": str(pl_module.generation) if isinstance(pl_module, BaseLitModule) else "",
            "device": str(trainer.strategy.root_device),
            "parameters": sum(p.numel() for p in pl_module.parameters() if p.requires_grad),
        }
        write_text(self.folder / "about.json", json.dumps(about, indent=2) + "\n")
        self.started = time.monotonic()

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Caption the photos with the weights that are validated."""
        data: Any = getattr(trainer, "datamodule", None)
        if trainer.sanity_checking or not (trainer.is_global_zero and self.photos and data and isinstance(pl_module, BaseLitModule)):
            return
        dataset, photos = data.datasets["val"], data.photos.split("val")
        rows = dataset.rows  # of photos that can be read
        chosen = [photos[row] for row in rows[:: max(1, len(rows) // self.photos)][: self.photos]]
        with torch.random.fork_rng():  # hard attention draws
            self.grown = _caption(pl_module, [photo.path for photo in chosen])

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the epoch's file; Lightning validates before this."""
        if not trainer.is_global_zero:
            return
        now = time.monotonic()
        epoch = {"epoch": trainer.current_epoch, "step": trainer.global_step, "seconds": now - self.started, **_memory(trainer)}
        write_text(self.folder / f"epoch-{trainer.current_epoch:04}.json", json.dumps({**epoch, "photos": self.grown}) + "\n")
        self.started, self.grown = now, []


def _caption(module: BaseLitModule, photos: list[Path]) -> list[dict[str, Any]]:
    """The viewer's data of each photo that can be read."""
    from showattend.visualize import photo_data

    network = copy.deepcopy(module.network).cpu()
    captioner = Captioner(Pretrained(network, module.vocabulary, module.preprocessing, module.generation, {}), "cpu")
    found = []
    for photo in photos:
        try:
            found.append({"file": str(photo.resolve()), **photo_data(photo, captioner.caption(photo, details=True))})
        except InputError as error:
            print_error(f"history: skipped {error}")
    return found


def _memory(trainer: lightning.Trainer) -> dict[str, int]:
    """The peak of the process's memory so far, and of the GPU's."""
    unit = 1 if sys.platform == "darwin" else 1024
    peaks = {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if trainer.strategy.root_device.type == "cuda":
        peaks["gpu_memory"] = torch.cuda.max_memory_allocated(trainer.strategy.root_device)
    return peaks
