"""Where in a picture the locations of a grid look: what heatmaps must know to be true."""

from typing import Any, NamedTuple

from torch import fx, nn

from showattend.geometry import Box


class GridGeometry(NamedTuple):
    """The middles of what the locations see, across and down: the first one, and from one to the next, in pixels."""

    first: float
    step: float

    def area(self, grid: tuple[int, int], size: int, visible: Box) -> Box:
        """The part of a photo over which the grid must be laid so that each cell's middle is where that location looks.

        It may reach over an edge: convolutions with odd kernels and a stride look half a pixel up and left of the middle
        of what they reduce, and a CNN with five of them half a cell.

        Args:
            grid: rows and columns
            size: pixels of the square that the network saw
            visible: what of the photo it showed, in the photo's pixels

        Returns:
            left, upper, right, lower, in the photo's pixels
        """
        left, upper, right, lower = visible
        x, y = (right - left) / size, (lower - upper) / size
        start = self.first - self.step / 2
        end_y, end_x = (start + count * self.step for count in grid)
        return left + start * x, upper + start * y, left + end_x * x, upper + end_y * y


def lattice(network: fx.GraphModule) -> GridGeometry:
    """The middles of the receptive fields (Dumoulin & Visin 2016), from the convolutions and poolings on the way to the grid."""
    seen: dict[fx.Node, GridGeometry] = {}
    for node in network.graph.nodes:
        # Branches that meet again look at the same places, but for weights, which look nowhere.
        first, step = max((seen[source] for source in node.all_input_nodes), key=lambda view: view.step, default=GridGeometry(0.5, 1.0))
        # torchvision's blocks of convolution and normalisation are one node.
        for module in network.get_submodule(str(node.target)).modules() if node.op == "call_module" else ():
            if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
                kernel, stride, padding = (_side(value) for value in (module.kernel_size, module.stride, module.padding))
                reach = _side(getattr(module, "dilation", 1)) * (kernel - 1)
                first, step = first + (reach / 2 - padding) * step, step * stride
        seen[node] = GridGeometry(first, step)
    return seen[node]


def _side(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple) else value)
