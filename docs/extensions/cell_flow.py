"""The data flow of one step of a cell as a picture, drawn from the operations that the step really performs."""

import itertools
import operator
from html import escape
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from showattend.cells import RecurrentCell, Stack

WIDTH, HEIGHT, GAP_X, GAP_Y, LANE, MARGIN = 58, 28, 34, 14, 16, 14  # pixels; a lane is the room of an arrow that passes a column
LABELS: dict[Any, str] = {
    torch.sigmoid: "σ",
    torch.tanh: "tanh",
    torch.exp: "exp",
    torch.maximum: "max",
    torch.where: "select",
    torch.cat: "join",
    F.pad: "pad",
    F.logsigmoid: "log σ",
    "repeat_interleave": "repeat",
    operator.add: "+",
    operator.sub: "−",
    operator.mul: "×",
    operator.truediv: "÷",
    operator.neg: "−",
    operator.mod: "mod",
    operator.eq: "=",
}
COLORS = {"input": "#d9e8f5", "state": "#fbe3c8", "product": "#d8ecd9", "gate": "#f5d9d9", "plain": "#f2f2f2"}


class Box(NamedTuple):
    """One operation of the picture."""

    label: str
    kind: str
    sources: list[tuple[str, str]]  # names of the boxes it reads, with the text on the arrow


class _Step(nn.Module):
    """`cell.step` as a module that torch.fx can follow."""

    def __init__(self, cell: RecurrentCell | Stack) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, projected: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return self.cell.step(projected, state)


def draw_step(cell: RecurrentCell | Stack) -> str:
    """An SVG of one step: W x + b and the old state on the left, the new state on the right."""
    boxes = _boxes(cell)
    depth = _depths(boxes)
    lanes = _lanes(boxes, depth)
    places = _places(_columns(boxes, depth, lanes), boxes)
    width = max(x for x, _ in places.values()) + WIDTH + MARGIN
    height = max(y for _, y in places.values()) + HEIGHT // 2 + MARGIN
    arrows = [_arrow([places[stop] for stop in route], text) for route, text in lanes]
    shapes = [_shape(box, *places[name]) for name, box in boxes.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'aria-label="data flow of one step" font-family="sans-serif" font-size="12">'
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#555"/></marker></defs>' + "".join(arrows + shapes) + "</svg>"
    )


def _boxes(cell: RecurrentCell | Stack) -> dict[str, Box]:
    """The operations by name; constants and parameters are no boxes, tuples and splits are arrows with a text."""
    tracer = fx.Tracer()
    graph = tracer.trace(_Step(cell), {"state": tuple(fx.PH for _ in cell.state_names)})
    boxes: dict[str, Box] = {}
    aliases: dict[fx.Node, tuple[str, str]] = {}  # nodes that are no box: where their value comes from, and its name
    parts: dict[fx.Node, fx.Node] = {}  # a part of a split: the split
    states = iter(cell.state_names)
    for node in graph.nodes:
        if node.op == "placeholder":
            first = not boxes
            boxes[node.name] = Box("W x + b" if first else next(states), "input" if first else "state", [])
            aliases[node] = (node.name, "")
        elif node.op == "output":
            for state_name, value in zip(cell.state_names, node.args[0], strict=True):
                boxes[f"new {state_name}"] = Box(f"new {state_name}", "state", [aliases[value]])
        elif node.op == "get_attr":
            continue
        elif node.op == "call_method" and node.target in ("chunk", "split", "view", "unflatten", "flatten", "to", "float"):
            aliases[node] = aliases[node.args[0]]
        elif node.target is operator.getitem:
            source, index = node.args
            if source in parts or (isinstance(source, fx.Node) and source in aliases):
                gates = getattr(cell, "gates", ())
                siblings = [user for user in source.users if user.target is operator.getitem]
                text = gates[index] if isinstance(index, int) and len(siblings) == len(gates) else ""
                aliases[node] = (aliases[source][0], text)
        else:
            sources = [aliases[value] for value in node.all_input_nodes if value in aliases]
            if not sources:
                continue
            boxes[node.name] = Box(*_label(node), sources)
            aliases[node] = (node.name, "")
    return boxes


def _label(node: fx.Node) -> tuple[str, str]:
    if node.target is F.linear:
        weight = node.args[1]
        name = str(weight.target).rsplit(".", 1)[-1] if isinstance(weight, fx.Node) and weight.op == "get_attr" else "U"
        return ("U" if name == "weight_hh" else name.replace("weight_", "U ")) + " ·", "product"
    if node.op == "call_module":
        return str(node.target).rsplit(".", 1)[-1], "plain"
    constants = [value for value in node.args if isinstance(value, int | float)]
    label = LABELS.get(node.target) or (node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "?"))
    if node.target is operator.sub and constants and isinstance(node.args[0], int | float):
        label = f"{constants[0]:g} −"
    return str(label), "gate" if node.target in (torch.sigmoid, torch.tanh, torch.exp) else "plain"


def _depths(boxes: dict[str, Box]) -> dict[str, int]:
    """The column of each box: to the right of all that it reads; new states stand in the last one."""
    depth: dict[str, int] = {}
    for name, box in boxes.items():
        depth[name] = max((depth[source] + 1 for source, _ in box.sources), default=0)
    last = max(depth.values())
    return {name: last if name.startswith("new ") else column for name, column in depth.items()}


def _lanes(boxes: dict[str, Box], depth: dict[str, int]) -> list[tuple[list[str], str]]:
    """Each arrow's stops, column by column, with its text: a long arrow gets a place of its own in every column that it crosses."""
    lanes = []
    for name, box in boxes.items():
        for source, text in box.sources:
            between = [f"{source}>{name}@{column}" for column in range(depth[source] + 1, depth[name])]
            lanes.append(([source, *between, name], text))
    return lanes


def _columns(boxes: dict[str, Box], depth: dict[str, int], lanes: list[tuple[list[str], str]]) -> list[list[str]]:
    """Boxes and passing arrows in columns, sorted so that few arrows cross (barycentres, swept right and left)."""
    columns: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name in boxes:
        columns[depth[name]].append(name)
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for route, _ in lanes:
        for column, (left, right) in enumerate(itertools.pairwise(route), depth[route[0]] + 1):
            if right not in columns[column]:
                columns[column].append(right)
            before.setdefault(right, []).append(left)
            after.setdefault(left, []).append(right)
    for sweep in range(8):
        neighbours, order = (before, columns[1:]) if sweep % 2 == 0 else (after, columns[-2::-1])
        for column in order:
            rank = {name: row - len(c) / 2 for c in columns for row, name in enumerate(c)}
            column.sort(key=lambda name: _mean([rank[other] for other in neighbours.get(name, [name])]))
    return columns


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _places(columns: list[list[str]], boxes: dict[str, Box]) -> dict[str, tuple[int, int]]:
    """The left end of each box or passing arrow, and the height of its middle."""
    heights = [[HEIGHT + GAP_Y if name in boxes else LANE for name in column] for column in columns]
    tallest = max(map(sum, heights))
    places = {}
    for index, (column, sizes) in enumerate(zip(columns, heights, strict=True)):
        top = MARGIN + (tallest - sum(sizes)) // 2
        for name, size in zip(column, sizes, strict=True):
            places[name] = (MARGIN + index * (WIDTH + GAP_X), top + size // 2)
            top += size
    return places


def _arrow(stops: list[tuple[int, int]], text: str) -> str:
    """A smooth line from the right end of the first stop to the left end of the last, straight across the columns between."""
    x, y = stops[0][0] + WIDTH, stops[0][1]
    path = f"M{x} {y}"
    for stop_x, stop_y in stops[1:]:
        middle = (x + stop_x) // 2
        path += f"C{middle} {y} {middle} {stop_y} {stop_x} {stop_y}"
        x, y = stop_x + WIDTH, stop_y
        if (stop_x, stop_y) != stops[-1]:
            path += f"H{x}"
    end_x, end_y = stops[1]
    label = f'<text x="{end_x - 13}" y="{end_y - 5}" fill="#a33" font-style="italic">{escape(text)}</text>' if text else ""
    return f'<path d="{path}" fill="none" stroke="#777" stroke-width="1.2" marker-end="url(#head)"/>{label}'


def _shape(box: Box, x: int, y: int) -> str:
    return (
        f'<rect x="{x}" y="{y - HEIGHT // 2}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{COLORS[box.kind]}" stroke="#666"/>'
        f'<text x="{x + WIDTH // 2}" y="{y + 4}" text-anchor="middle" fill="#111">{escape(box.label)}</text>'
    )
