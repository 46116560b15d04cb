"""CUDA graphs for inference and training: all kernels of a call are launched at once instead of one by one.

This pays where launching the kernels takes longer than running them. A graph repeats the same kernels on the same memory, so
there is one graph for each combination of input shapes. What reads a tensor's value on the host (have all captions ended?)
cannot be captured. Functions that `compiled_in_graphs` marks are compiled for a capture, so that a graph holds fewer kernels.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

# Runs before a capture, in which kernels are compiled and libraries initialise; as many as torch uses for training.
WARM_UPS = 3
# Calls of other threads during a capture, such as of one that copies the next batch, are allowed and not captured.
CAPTURE_MODE = "thread_local"
# Where torch lets training be captured so; before, another thread's call ends the capture of a training step with an error.
TRAINS_BESIDE_THREADS = "capture_error_mode" in inspect.signature(torch.cuda.make_graphed_callables).parameters

# What the compiler says of itself, as warnings.
COMPILER_HINTS = (r"\nOnline softmax is disabled", r"The \.grad attribute of a Tensor that is not a leaf")

P = ParamSpec("P")
R = TypeVar("R")

# How many captures are under way. Of the whole process: autograd runs backward passes on a GPU in threads of its own.
_captures = 0


@contextmanager
def compiling() -> Iterator[None]:
    """Within this context, functions that `compiled_in_graphs` marks are compiled."""
    global _captures
    _captures += 1
    try:
        with warnings.catch_warnings():
            for hint in COMPILER_HINTS:
                warnings.filterwarnings("ignore", hint)
            yield
    finally:
        _captures -= 1


def compiled_in_graphs(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: while a CUDA graph is captured, the function is compiled, which makes one kernel of many; else it runs as it is.

    It is compiled for fixed shapes, and so it should get views in the place of indices that change with every call.
    """

    @cache
    def compiled() -> Callable[P, R]:
        return torch.compile(function, dynamic=False)  # at the first use: it imports much

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return compiled()(*args, **kwargs) if _captures else function(*args, **kwargs)

    return run


def is_capturing(device: torch.device) -> bool:
    """Whether the current stream of this device is being captured in a graph."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


class _Graph(NamedTuple):
    """A captured graph, the tensors that it reads and the tensors that it writes."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class GraphedInference:
    """A function without gradients, captured once per shape of its inputs and replayed afterwards.

    The first axis of all inputs and outputs is the batch. A batch smaller than the captured one runs in the same graph, whose
    other rows repeat old inputs. A larger batch is captured anew.

    Args:
        function: reads no tensor's value on the host; other tensors that it uses must stay at their addresses
    """

    def __init__(self, function: Callable[..., tuple[Tensor, ...]]) -> None:
        self.function = function
        self.graphs: dict[tuple[torch.Size, ...], _Graph] = {}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The function's outputs, copied out of the graph's memory."""
        key, batch_size = tuple(entry.shape[1:] for entry in inputs), len(inputs[0])
        if key not in self.graphs or len(self.graphs[key].inputs[0]) < batch_size:
            self.graphs[key] = self._capture(tuple(entry.clone() for entry in inputs))
        graph, static_inputs, static_outputs = self.graphs[key]
        for static, entry in zip(static_inputs, inputs, strict=True):
            static[:batch_size].copy_(entry)
        graph.replay()
        # The next replay overwrites the graph's outputs.
        return tuple(entry[:batch_size].clone() for entry in static_outputs)

    def _capture(self, inputs: tuple[Tensor, ...]) -> _Graph:
        side_stream = torch.cuda.Stream()
        side_stream.wait_stream(torch.cuda.current_stream())
        graph = torch.cuda.CUDAGraph()
        with compiling():
            with torch.cuda.stream(side_stream):
                for _ in range(WARM_UPS):
                    self.function(*inputs)
            torch.cuda.current_stream().wait_stream(side_stream)
            with torch.cuda.graph(graph, capture_error_mode=CAPTURE_MODE):
                outputs = tuple(self.function(*inputs))
        return _Graph(graph, inputs, outputs)


class GraphedTraining:
    """A function with gradients of its inputs and of a module's parameters: one graph forward, one backward, per input shape.

    Args:
        module: holds the parameters that the function uses
        function: reads no tensor's value on the host
    """

    def __init__(self, module: nn.Module, function: Callable[..., tuple[Tensor, ...]]) -> None:
        self.module, self.function = module, function
        self.graphs: dict[tuple[object, ...], Callable[..., tuple[Tensor, ...]]] = {}
        # Graphs share one memory pool: each backward pass finishes before the next forward pass starts.
        self.pool: Any = None

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The function's outputs. The next call with the same shapes overwrites them, and the gradients too."""
        key = (self.module.training, *((entry.shape, entry.requires_grad) for entry in inputs))
        if key not in self.graphs:
            samples = tuple(entry.detach().clone().requires_grad_(entry.requires_grad) for entry in inputs)
            bound = _BoundFunction(self.module, self.function).train(self.module.training)
            self.pool = self.pool or torch.cuda.graph_pool_handle()
            options: dict[str, Any] = {"allow_unused_input": True, "pool": self.pool}
            # A capture computes gradients on another stream than the parameters were made on, and torch warns of that.
            torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
            options |= {"capture_error_mode": CAPTURE_MODE} if TRAINS_BESIDE_THREADS else {}
            with compiling():
                self.graphs[key] = torch.cuda.make_graphed_callables(bound, samples, WARM_UPS, **options)  # type: ignore[assignment]
        return self.graphs[key](*inputs)


class _BoundFunction(nn.Module):
    """A function as the forward of a module, because torch captures the gradients of a module's parameters only."""

    def __init__(self, module: nn.Module, function: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.module, self.function = module, function

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.function(*inputs)
