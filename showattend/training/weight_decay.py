"""Weight decay pulls matrices towards zero, and leaves vectors alone: biases, and the scales of normalisation."""

from typing import Any

from torch import nn

ParameterGroup = dict[str, Any]  # of a torch optimiser


def parameter_groups(module: nn.Module, weight_decay: float) -> list[ParameterGroup]:
    """The trainable matrices with weight decay, and the vectors without."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trainable if parameter.dim() > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trainable if parameter.dim() <= 1], "weight_decay": 0.0},
    ]
