"""Packed convolutions in the place of a network's own, for inference, each with the activation behind it."""

from itertools import pairwise

import torch
from torch import nn

from showattend.ops.packed_convolution import PackedConv2d, can_pack, is_activation


def pack_modules(network: nn.Module, dtype: torch.dtype | None) -> None:
    """Pack the convolutions inside a network, in place; an activation that follows one in an `nn.Sequential` becomes part of it.

    Args:
        dtype: of the operands of products; None: that of the weights
    """
    for parent in list(network.modules()):
        children = list(parent._modules.items())  # with modules that are there twice
        followed = {name: (after, module) for (name, _), (after, module) in pairwise(children)} if type(parent) is nn.Sequential else {}
        for name, child in children:
            if not can_pack(child, dtype):
                continue
            assert isinstance(child, nn.Conv2d)
            after, module = followed.get(name, ("", None))
            joined = module is not None and is_activation(module)
            setattr(parent, name, PackedConv2d(child, module if joined else None, dtype))
            if joined:
                setattr(parent, after, nn.Identity())
    round_weights(network, dtype)


def round_weights(network: nn.Module, dtype: torch.dtype | None) -> None:
    """Convert the other weights that autocast would convert at each call. Those of normalisation keep their precision."""
    if dtype:
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.to(dtype)
