"""Where in a picture the locations of a feature grid look: heatmaps depend on it."""

from typing import Any, NamedTuple

from showattend.encoders.graph import Call, Graph, refs
from showattend.encoders.graph_schema import FUNCTIONS
from showattend.geometry import Box

# Modules and functions with a kernel.
WINDOWED = ("Conv2d", "MaxPool2d", "AvgPool2d", "max_pool2d", "avg_pool2d")


class GridGeometry(NamedTuple):
    """Centres of the locations' receptive fields, the same across and down, in pixels of the square that the network gets.

    first: of the first location
    step: from one location to the next
    """

    first: float
    step: float

    def grid_box(self, grid_shape: tuple[int, int], image_size: int, crop_box: Box) -> Box:
        """The part of a photo over which the grid must be laid so that each cell's centre is where that location looks.

        It may reach over an edge: convolutions with odd kernels and a stride look half a pixel up and left of the centre
        of what they reduce, and a CNN with five of them half a cell.

        Args:
            grid_shape: rows and columns
            image_size: pixels of the square that the network gets
            crop_box: the part of the photo that this square showed, in the photo's pixels

        Returns:
            left, upper, right, lower, in the photo's pixels
        """
        left, upper, right, lower = crop_box
        x, y = (right - left) / image_size, (lower - upper) / image_size
        start = self.first - self.step / 2
        end_y, end_x = (start + count * self.step for count in grid_shape)
        return left + start * x, upper + start * y, left + end_x * x, upper + end_y * y


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
