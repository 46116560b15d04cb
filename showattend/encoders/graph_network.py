"""A network that executes a graph call by call: no source code is generated from it."""

import math
import operator
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from showattend.encoders.graph import Call, Graph, Part, count_uses, refs, without_calls
from showattend.encoders.graph_arguments import Ref
from showattend.encoders.graph_schema import FUNCTIONS, METHODS, MODULES, PARAMETER
from showattend.errors import InputError, one_line
from showattend.ops.packed_convolution import PackedConv2d

# Elements that a graph holds at once, and computes in all, for each of its input: a file must not fill the memory, nor compute without end.
# Of torchvision's networks, VGG holds most (43) and EfficientNet-B7 computes most (907).
MAX_HELD, MAX_COMPUTED = 128, 4096
MAX_ELEMENTS = 2**29  # held for one photo: 2 GiB


class GraphNetwork(nn.Module):
    """Image (N,3,S,S) to feature map (N,D,rows,columns), by the calls of a graph.

    Parts are registered under their paths, so that the state has the names of the network that the graph was traced from.

    Args:
        graph: what `read_spec` returned
        weights: the state; the parts take these tensors themselves

    Raises:
        InputError: a part cannot be built, or the weights are not exactly the graph's.
    """

    def __init__(self, graph: Graph, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.graph = graph
        with torch.device("meta"):
            for path, part in graph.parts.items():
                self._add(path, part)
        _check_shapes(self.state_dict(), weights)
        self._last_uses = _last_uses(graph)
        self._checked_shape: torch.Size | None = None  # of images whose results have had sizes within the limits
        self.load_state_dict(dict(weights), assign=True)
        # get_submodule splits the path at each call.
        self._by_path = {path: self.get_submodule(path) for path, part in graph.parts.items() if part.kind != PARAMETER}

    def _add(self, path: str, part: Part) -> None:
        """Register a part under its path, inside plain modules that are added on the way."""
        parent: nn.Module = self
        *above, name = path.split(".")
        for step in above:
            child = parent._modules.get(step)
            if child is None:
                _refuse_taken(parent, step, path)
                parent.add_module(step, child := nn.Module())
            if type(child) is not nn.Module:
                raise InputError(f"the encoder's graph is not valid: {path} lies inside another part")
            parent = child
        _refuse_taken(parent, name, path)
        if part.kind == PARAMETER:
            parent.register_parameter(name, nn.Parameter(torch.empty(part.arguments["shape"])))
            return
        kind, _ = MODULES[part.kind]
        try:
            parent.add_module(name, kind(**part.arguments))
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"the encoder's graph is not valid: {path}: {one_line(error)}") from error

    def replace(self, path: str, module: nn.Module) -> None:
        """Put another module in the place of a part."""
        self.set_submodule(path, module)
        self._by_path[path] = module

    def forward(self, image: Tensor) -> Tensor:
        """Execute the calls.

        Raises:
            InputError: a call fails, or its result would be too large, which is known before it is computed.
        """
        values: dict[str, Any] = {self.graph.input: image}
        # Export and compilation compute with sizes alone, and must not depend on that of the batch.
        limits = None if torch.compiler.is_compiling() or image.shape == self._checked_shape else _Limits(image)
        for call, finished in zip(self.graph.calls, self._last_uses, strict=True):
            try:
                value = self._execute(call, values, limits)
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
                raise InputError(f"the encoder's graph fails at {call.result}: {one_line(error)}") from error
            values[call.result] = value
            if limits:
                limits.add(value)
            for name in finished:
                dropped = values.pop(name)
                if limits:
                    limits.drop(dropped)
        output = values[self.graph.output]
        if not isinstance(output, Tensor) or output.dim() != 4 or output.shape[1] != self.graph.channels:
            raise InputError(f"the encoder's graph does not give a feature map of {self.graph.channels} channels")
        if limits:
            self._checked_shape = image.shape
        return output

    def _execute(self, call: Call, values: Mapping[str, Any], limits: "_Limits | None") -> Any:
        args, kwargs = _resolve(call.args, values), {key: _resolve(value, values) for key, value in call.kwargs.items()}
        if call.kind == "get_attr":
            return self.get_parameter(call.target)
        run = (
            self._by_path[call.target]
            if call.kind == "call_module"
            else (FUNCTIONS if call.kind == "call_function" else METHODS)[call.target].run
        )
        if run in (operator.add, operator.mul):
            _check_operands(*args)
        if limits:
            limits.check(_expected_elements(run, *args, *kwargs.values()))
        return run(*args, **kwargs)


class _Limits:
    """How many elements a graph may hold and compute for an image (N,3,S,S), and what it has so far."""

    def __init__(self, image: Tensor) -> None:
        self.most_held = min(MAX_HELD * image.numel(), MAX_ELEMENTS * len(image))
        self.most_computed = MAX_COMPUTED * image.numel()
        self.held, self.computed = image.numel(), 0

    def check(self, elements: int) -> None:
        """Refuse a result before it is computed."""
        if self.held + elements > self.most_held or self.computed + elements > self.most_computed:
            raise ValueError("its results are too large")

    def add(self, value: Any) -> None:
        """Count a result."""
        elements = _elements(value)
        self.held += elements
        self.computed += elements

    def drop(self, value: Any) -> None:
        """Count a result that no later call takes."""
        self.held -= _elements(value)


def _expected_elements(run: Any, x: Any, *rest: Any) -> int:
    """How many elements a result will have; of what keeps, shrinks or hardly pads its operand, the operand's."""
    if isinstance(run, nn.Conv2d | PackedConv2d):
        elements = int(len(x) * run.out_channels)
        sizes = x.shape[-2:], run.kernel_size, run.stride, map(int, run.padding), run.dilation
        for side, kernel, stride, padding, dilation in zip(*sizes, strict=True):
            elements *= (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        return elements
    if isinstance(run, nn.Linear):
        return int(x.numel() // run.in_features * run.out_features)
    if isinstance(run, nn.AdaptiveAvgPool2d):
        sides = (run.output_size,) * 2 if isinstance(run.output_size, int) else run.output_size
        return int(math.prod(x.shape[:-2]) * math.prod(map(int, sides)))  # type: ignore[arg-type]
    if run in (operator.add, operator.mul) and isinstance(rest[0], Tensor):  # by hand: torch.broadcast_shapes imports sympy
        return math.prod(max(sides) for sides in zip_longest(x.shape[::-1], rest[0].shape[::-1], fillvalue=1))
    return _elements(x)


def fold_batchnorm(network: GraphNetwork) -> GraphNetwork:
    """A copy in eval mode in which each batch normalisation is part of the convolution before it, where nothing else uses that one."""
    graph, weights = network.graph, {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    parts, folded = dict(graph.parts), dict[str, str]()
    uses, targets = count_uses(graph), Counter(call.target for call in graph.calls)
    by_result = {call.result: call for call in graph.calls}
    for call in graph.calls:
        conv = by_result.get(next(refs(call), ""))
        if conv and _can_fold(graph, conv, call) and uses[conv.result] == targets[conv.target] == targets[call.target] == 1:
            _fold(weights, conv.target, call.target, parts.pop(call.target))
            parts[conv.target] = Part("Conv2d", {**parts[conv.target].arguments, "bias": True})
            folded[call.result] = conv.result
    return GraphNetwork(replace(without_calls(graph, folded), parts=parts), weights).eval()


def _can_fold(graph: Graph, conv: Call, norm: Call) -> bool:
    if conv.kind != "call_module" or norm.kind != "call_module":
        return False
    before, behind = graph.parts[conv.target], graph.parts[norm.target]
    if (before.kind, behind.kind) != ("Conv2d", "BatchNorm2d") or before.arguments["out_channels"] != behind.arguments["num_features"]:
        return False
    return bool(behind.arguments.get("track_running_stats", True))


def _fold(weights: dict[str, Tensor], conv: str, norm: str, part: Part) -> None:
    """Replace the weights of a convolution and of the normalisation behind it by those of one convolution."""
    mean, var = weights.pop(f"{norm}.running_mean"), weights.pop(f"{norm}.running_var")
    weights.pop(f"{norm}.num_batches_tracked")
    scale, shift = weights.pop(f"{norm}.weight", None), weights.pop(f"{norm}.bias", None)
    eps = part.arguments.get("eps", 1e-5)
    weight, bias = weights[f"{conv}.weight"], weights.get(f"{conv}.bias")
    weight, bias = fuse_conv_bn_weights(weight, bias, mean, var, eps, scale, shift)
    weights[f"{conv}.weight"], weights[f"{conv}.bias"] = weight.detach(), bias.detach()


def _resolve(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, Ref):
        return values[value.name]
    return tuple(_resolve(item, values) for item in value) if isinstance(value, tuple) else value


def _last_uses(graph: Graph) -> list[tuple[str, ...]]:
    """For each call the results that no later one takes."""
    needed, finished = {graph.output}, []
    for call in reversed(graph.calls):
        names = {*refs(call), call.result} - needed
        finished.append(tuple(names))
        needed |= names
    return finished[::-1]


def _check_operands(a: Any, b: Any) -> None:
    """Refuse to repeat or to join sizes and tuples, which is what the operators of tensors do with them."""
    if not isinstance(a, Tensor) or not isinstance(b, Tensor | int | float):
        raise TypeError("its operands are no tensors")


def _elements(value: Any) -> int:
    """How many elements a result has; parts of a tensor in a tuple together."""
    if isinstance(value, tuple | list):
        return sum(map(_elements, value))
    return value.numel() if isinstance(value, Tensor) else 0


def _refuse_taken(parent: nn.Module, name: str, path: str) -> None:
    if hasattr(parent, name):
        raise InputError(f"the encoder's graph is not valid: the path {path} is taken")


def _check_shapes(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    for name in [*expected, *weights]:
        if name not in expected or name not in weights:
            raise InputError(f"the encoder's graph does not fit its weights: '{name}' is only in one of the two")
        if expected[name].shape != weights[name].shape:
            shapes = f"{tuple(expected[name].shape)} and {tuple(weights[name].shape)}"
            raise InputError(f"the encoder's graph does not fit its weights: '{name}' has the shapes {shapes}")
