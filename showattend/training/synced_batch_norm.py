"""Batch normalisation over the photos of all processes, as one process with the whole batch computes it; torch's own needs GPUs."""

import torch
from lightning.pytorch.plugins.layer_sync import LayerSync
from torch import Tensor, nn

from showattend.training.processes import total


class SyncedBatchNorm(nn.BatchNorm2d):
    """Mean and variance of each channel over the maps of all processes, first the one, then the other.

    Attributes:
        is_counted: whether this process's photos are part of the batch, see `data.batches.ShareOfBatches`
    """

    is_counted = True

    def forward(self, x: Tensor) -> Tensor:
        """Normalise maps (N,C,H,W); in eval mode by the running statistics."""
        if not self.training:
            return super().forward(x)
        values = x.to(torch.promote_types(x.dtype, torch.float32))  # also in mixed precision
        elements = total(values.new_tensor(x.numel() // x.shape[1] * self.is_counted))
        mean = total(values.sum((0, 2, 3)) * self.is_counted) / elements
        centered = values - mean[:, None, None]
        variance = total(centered.square().sum((0, 2, 3)) * self.is_counted) / elements
        self._track(mean.detach(), variance.detach() * (elements / (elements - 1)))
        normalized = centered * (variance + self.eps).rsqrt()[:, None, None]
        return (normalized * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of a batch."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class SyncedBatchNorms(LayerSync):
    """Lightning's hook for runs of several processes: every trainable BatchNorm2d of a model is a synced one while it trains."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Change the class of the layers; their weights and statistics stay where they are."""
        for module in model.modules():
            if type(module) is nn.BatchNorm2d and module.affine and module.track_running_stats:
                module.__class__ = SyncedBatchNorm
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Change it back."""
        for module in model.modules():
            if type(module) is SyncedBatchNorm:
                module.__class__ = nn.BatchNorm2d  # type: ignore[assignment]
        return model


def set_is_counted(model: nn.Module, is_counted: bool) -> None:
    """Say whether the next photos of this process are part of the batch."""
    for module in model.modules():
        if isinstance(module, SyncedBatchNorm):
            module.is_counted = is_counted
