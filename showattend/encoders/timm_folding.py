"""Batch normalisation of timm's networks, which are no graphs: what follows a convolution is seen when a photo goes through."""

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Network = TypeVar("Network", bound=nn.Module)


def fold_batchnorm_modules(network: nn.Module, run: Callable[[nn.Module], object]) -> None:
    """Make each batch normalisation part of the convolution before it, in place, where nothing else takes that one's result.

    A normalisation that has an activation of its own, as timm's have, leaves it behind the convolution.

    Args:
        network: frozen, in eval mode
        run: computes the features of a photo on the meta device by a network
    """
    for conv_name, norm_name in _pairs(on_meta_device(network), run):
        conv: Any = network.get_submodule(conv_name)
        norm: Any = network.get_submodule(norm_name)
        statistics = norm.running_mean, norm.running_var, norm.eps
        conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics, norm.weight, norm.bias)
        behind = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
        network.set_submodule(conv_name, nn.Sequential(conv, *(module for module in behind if not isinstance(module, nn.Identity))))
        network.set_submodule(norm_name, nn.Identity())


def on_meta_device(network: Network) -> Network:
    """A copy without memory, which computes sizes alone."""
    tensors = [*network.parameters(), *network.buffers()]
    # What deepcopy finds here it does not copy.
    return copy.deepcopy(network, {id(tensor): _like(tensor) for tensor in tensors})


def _like(tensor: Tensor) -> Tensor:
    empty = tensor.detach().to("meta")
    return nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty


def _pairs(network: nn.Module, run: Callable[[nn.Module], object]) -> list[tuple[str, str]]:
    """The names of convolutions and of the normalisations that alone take their results."""
    names = {module: name for name, module in network.named_modules()}
    computed: dict[int, tuple[str, Tensor]] = {}  # with the result itself, so that its id stays its own
    pairs: list[tuple[str, str, int]] = []

    def note_result(module: nn.Module, inputs: Any, result: Tensor) -> None:
        computed[id(result)] = names[module], result

    def note_pair(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if id(inputs[0]) in computed:
            pairs.append((computed[id(inputs[0])][0], names[module], id(inputs[0])))

    for module in names:
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note_result)
        elif isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            module.register_forward_pre_hook(note_pair)
    with torch.no_grad(), _CountUses() as uses:
        run(network)
    calls = Counter(name for name, _ in computed.values())
    normalised = Counter(norm for _, norm, _ in pairs)
    return [(conv, norm) for conv, norm, result in pairs if uses.counts[result] == calls[conv] == normalised[norm] == 1]


class _CountUses(TorchDispatchMode):
    """How many operators took a tensor, by its id."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counter[int]()
        self._operands: list[Tensor] = []  # kept, or their ids would be given again

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        operands = [leaf for leaf in tree_leaves([args, kwargs]) if isinstance(leaf, Tensor)]
        self.counts.update(map(id, operands))
        self._operands += operands
        return function(*args, **kwargs)
