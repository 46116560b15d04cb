"""What happens around training: the best model so far is always on disk as a finished one."""

import copy
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

from showattend.pretrained import Pretrained, save_pretrained
from showattend.training.base import BaseLitModule


def moving_average(decay: float) -> WeightAveraging:
    """An exponential moving average of the weights, m <- d m + (1 - d) w, begun by the first step's."""
    # Lightning's own EMAWeightAveraging adds two products: what is frozen would drift by their rounding.
    return WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(decay))


class ModelWriter(lightning.Callback):
    """Write the best checkpoint as a model folder whenever there is a better one: a run that is cut off leaves a model too."""

    def __init__(self, folder: Path, trained_on: str) -> None:
        self.folder = folder
        self.trained_on = trained_on
        self.written: str | None = None

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Checkpoints are written after all other callbacks have run: this is the first moment to look."""
        self._write(trainer, pl_module)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The last epoch may have been the best."""
        self._write(trainer, pl_module)

    def _write(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        checkpoint = trainer.checkpoint_callback
        if not (trainer.is_global_zero and isinstance(checkpoint, ModelCheckpoint) and isinstance(pl_module, BaseLitModule)):
            return
        # By its place in the run and not by the name that it had when the run began: folders move.
        path, score = self.folder.parent / "checkpoints" / "best.ckpt", str(checkpoint.best_model_score)
        if not path.exists() or score == self.written:
            return
        self.written = score
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        # A copy: the network in training goes on with its own weights.
        network = copy.deepcopy(pl_module.network).cpu()
        state = {name.removeprefix("network."): tensor for name, tensor in saved["state_dict"].items() if name.startswith("network.")}
        network.load_state_dict(state)
        model = Pretrained(network, pl_module.vocabulary, pl_module.preprocessing, pl_module.search, saved["scores"])
        save_pretrained(model, self.folder, trained_on=self.trained_on)
