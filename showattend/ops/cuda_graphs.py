"""Work on a GPU captured in CUDA graphs: launched as one, where its launches one by one would take longer than the work itself.

A graph holds what was done, kernel by kernel: it depends on the shapes of what it is given and on nothing else. So there is one for each
shape; what would look at a number on the way (has every caption ended?) cannot be captured.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

# Runs before a capture, in which kernels are compiled and libraries find their ways; as many as torch does for training.
WARM_UPS = 3
# What other threads ask of the GPU meanwhile, such as one that lays out the next batch, is no part of a graph, and none of its business.
MODE = "thread_local"


def is_capturing(device: torch.device) -> bool:
    """Whether what is done on this device right now goes into a graph."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


class _Graph(NamedTuple):
    """What was captured, and the tensors from which and into which it works."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class GraphedInference:
    """A function of tensors whose first axis is N, to others of the same N: captured without gradients, and replayed.

    Fewer than it was captured for are filled up with what was there before; more are captured anew.

    Args:
        function: looks at no number; whatever else it works from must stay where it is
    """

    def __init__(self, function: Callable[..., tuple[Tensor, ...]]) -> None:
        self.function = function
        self.graphs: dict[tuple[torch.Size, ...], _Graph] = {}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What the function would give."""
        key, number = tuple(entry.shape[1:] for entry in inputs), len(inputs[0])
        if key not in self.graphs or len(self.graphs[key].inputs[0]) < number:
            self.graphs[key] = self._capture(tuple(entry.clone() for entry in inputs))
        graph, held, outputs = self.graphs[key]
        for mine, given in zip(held, inputs, strict=True):
            mine[:number].copy_(given)
        graph.replay()
        # The graph will write there again.
        return tuple(entry[:number].clone() for entry in outputs)

    def _capture(self, inputs: tuple[Tensor, ...]) -> _Graph:
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS):
                self.function(*inputs)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode=MODE):
            outputs = tuple(self.function(*inputs))
        return _Graph(graph, inputs, outputs)


class GraphedTraining:
    """A function of tensors with gradients, in its inputs and in a module's parameters: its ways there and back are a graph each.

    Args:
        module: whose parameters the function works with
        function: looks at no number
    """

    def __init__(self, module: nn.Module, function: Callable[..., tuple[Tensor, ...]]) -> None:
        self.module, self.function = module, function
        self.graphs: dict[tuple[object, ...], Callable[..., tuple[Tensor, ...]]] = {}
        # Memory that all graphs share: one has come back before another goes.
        self.pool: Any = None

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What the function gives; it, and the gradients that come back, are written over by the next call of the same shapes."""
        key = (self.module.training, *((entry.shape, entry.requires_grad) for entry in inputs))
        if key not in self.graphs:
            samples = tuple(entry.detach().clone().requires_grad_(entry.requires_grad) for entry in inputs)
            bound = _Bound(self.module, self.function).train(self.module.training)
            self.pool = self.pool or torch.cuda.graph_pool_handle()
            options: dict[str, Any] = {"allow_unused_input": True, "pool": self.pool, "capture_error_mode": MODE}
            self.graphs[key] = torch.cuda.make_graphed_callables(bound, samples, WARM_UPS, **options)  # type: ignore[assignment]
        return self.graphs[key](*inputs)


class _Bound(nn.Module):
    """A function, with the module from which torch takes the parameters that it has."""

    def __init__(self, module: nn.Module, function: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.module, self.function = module, function

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.function(*inputs)
