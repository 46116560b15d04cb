"""Where in a picture the locations of a feature grid look: heatmaps depend on it."""

from typing import Any

from showattend.encoders.graph import Call, Graph, refs
from showattend.encoders.graph_schema import FUNCTIONS
from showattend.geometry import GridGeometry

# Modules and functions with a kernel.
WINDOWED = ("Conv2d", "MaxPool2d", "AvgPool2d", "max_pool2d", "avg_pool2d")


def receptive_field_grid(graph: Graph) -> GridGeometry:
    """The geometry of a graph's output (Dumoulin & Visin 2016), from the convolutions and poolings on the way to it."""
    geometries = {graph.input: GridGeometry(0.5, 1.0)}
    for call in graph.calls:
        # Branches that join have the same geometry, except weights, which have none.
        branches = (geometries[name] for name in refs(call))
        first, step = max(branches, key=lambda geometry: geometry.step, default=GridGeometry(0.5, 1.0))
        kind, options = _options(graph, call)
        if kind in WINDOWED:
            kernel = _side(options["kernel_size"])
            # A pooling's stride is its kernel unless it is given.
            default_stride = 1 if kind == "Conv2d" else kernel
            stride = _side(options.get("stride") or default_stride)
            reach = _side(options.get("dilation", 1)) * (kernel - 1)
            first, step = first + (reach / 2 - _side(options.get("padding", 0))) * step, step * stride
        geometries[call.result] = GridGeometry(first, step)
    return geometries[graph.output]


def _options(graph: Graph, call: Call) -> tuple[str, dict[str, Any]]:
    """The class or function that a call applies, with its options by their names."""
    if call.kind == "call_module":
        return graph.parts[call.target].kind, dict(graph.parts[call.target].arguments)
    if call.kind == "call_function":
        return call.target, dict(zip(FUNCTIONS[call.target].parameters, call.args, strict=False)) | dict(call.kwargs)
    return call.kind, {}


def _side(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple) else value)
