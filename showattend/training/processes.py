"""What the processes of a run compute together, over torch.distributed; a single process gets back what it has given.

Every function is collective: all processes call it, in the same order. Tensors go the way of the gradients (NCCL between GPUs); numbers
and objects go between the processors (gloo), so that no GPU is waited for.
"""

import functools
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.autograd import Function

from showattend.console import print_error


@rank_zero_only
def report(line: str) -> None:
    """Print a line to standard error, once for all processes."""
    print_error(line)


def is_distributed() -> bool:
    """Whether the processes are connected."""
    return dist.is_available() and dist.is_initialized()


def total(values: Tensor) -> Tensor:
    """The sum over the processes, with gradients: that of a process's values is the sum of all processes' gradients of the total."""
    summed: Tensor = _Total.apply(values) if is_distributed() else values
    return summed


class _Total(Function):
    """torch.distributed.nn has one too, which newer versions of torch deprecate."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        summed = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        summed: Tensor = _Total.apply(grad)
        return summed


def mean_weights(counts: Tensor) -> Tensor:
    """What a mean over this process's things is multiplied by, so that the processes' average is the mean over the things of all.

    Gradients are averaged over the processes in the same way.

    Args:
        counts: numbers of this process's words, say, of any shape

    Returns:
        P n / (sum of n over the P processes), of the same shape; exactly 1 for a single process
    """
    processes = dist.get_world_size() if is_distributed() else 1
    return counts * processes / total(counts).clamp(min=1)


def average(value: Tensor) -> Tensor:
    """The mean over the processes."""
    return total(value) / dist.get_world_size() if is_distributed() else value


def largest(number: int) -> int:
    """The largest of the processes' numbers."""
    if not is_distributed():
        return number
    found = torch.tensor(number)
    dist.all_reduce(found, dist.ReduceOp.MAX, group=_between_processors())
    return int(found)


def gather(value: Any) -> list[Any]:
    """The values of all processes in the first one; in the others only their own."""
    if not is_distributed():
        return [value]
    values = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    dist.gather_object(value, values, group=_between_processors())
    return values or [value]


def from_first(value: Any) -> Any:
    """The first process's value."""
    if not is_distributed():
        return value
    values = [value]
    dist.broadcast_object_list(values, group=_between_processors())
    return values[0]


@functools.cache
def _between_processors() -> dist.ProcessGroup:
    group = dist.new_group(backend="gloo")
    assert isinstance(group, dist.ProcessGroup)
    return group
