"""Scenes of coloured shapes: drawn at random from a seed, and painted as pictures."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw

from showattend.geometry import Box

SIZE = 128  # pixels of a picture's side
JITTER = 6.0  # pixels that a shape may lie off the line on which the shapes of a scene stand
MIN_GAP = 3.0  # pixels between two shapes, at least
OVERSAMPLING = 3  # pictures are drawn this much larger and reduced, for smooth edges
RADII = {"small": (12.0, 13.5), "large": (17.0, 18.5)}  # one large and three small ones fit into a line
COLORS = {
    "red": (214, 40, 40),
    "green": (46, 158, 62),
    "blue": (42, 92, 218),
    "yellow": (246, 206, 40),
    "purple": (140, 60, 170),
    "white": (248, 248, 248),
}
KINDS = ("circle", "square", "triangle", "star", "cross")
BACKGROUNDS = ((58, 62, 70), (104, 92, 80), (150, 156, 150), (96, 120, 132), (128, 104, 120), (36, 48, 52))


@dataclass(frozen=True)
class Shape:
    """One coloured shape; x and y are its centre, in pixels."""

    kind: str
    color: str
    size: str
    x: float
    y: float
    radius: float

    @property
    def box(self) -> Box:
        """The smallest box around it."""
        return self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius


@dataclass(frozen=True)
class Scene:
    """Two to four shapes in a line, no two of the same colour and kind, on a ground; the first is large, the others are small."""

    shapes: tuple[Shape, ...]
    ground: tuple[int, int, int]
    texture: str


def relation(one: Shape, other: Shape) -> str:
    """Where `one` lies relative to `other`: left, right, above or below, by the direction in which they lie further apart."""
    dx, dy = one.x - other.x, one.y - other.y
    if abs(dx) > abs(dy):
        return "left" if dx < 0 else "right"
    return "above" if dy < 0 else "below"


def neighbours(one: Shape, scene: Scene) -> dict[str, Shape]:
    """The nearest shape on each side of `one`, by the relation that `one` has to it."""
    others = [shape for shape in scene.shapes if shape is not one]
    others.sort(key=lambda shape: math.dist((shape.x, shape.y), (one.x, one.y)), reverse=True)
    return {relation(one, other): other for other in others}  # on each side the nearest comes last, and stays


def random_scene(rng: random.Random) -> Scene:
    """Draw a scene: shapes side by side or one above the other, so that every relation is clear."""
    count = rng.choice((2, 3, 3, 4))
    appearances = rng.sample([(color, kind) for color in COLORS for kind in KINDS], count)
    sizes = ["large", *["small"] * (count - 1)]
    radii = [round(rng.uniform(*RADII[size]), 2) for size in sizes]
    centres = _line(rng, radii)
    if rng.random() < 0.5:
        centres = [(y, x) for x, y in centres]
    parts = zip(appearances, sizes, centres, radii, strict=True)
    shapes = tuple(Shape(kind, color, size, x, y, radius) for (color, kind), size, (x, y), radius in parts)
    return Scene(shapes, rng.choice(BACKGROUNDS), rng.choice(tuple(TEXTURES)))


def _line(rng: random.Random, radii: list[float]) -> list[tuple[float, float]]:
    """Centres of shapes side by side, with random order and gaps."""
    height = rng.uniform(max(radii) + JITTER, SIZE - max(radii) - JITTER)
    free = SIZE - 2 * sum(radii) - MIN_GAP * (len(radii) - 1)
    starts = sorted(rng.uniform(0, free) for _ in radii)
    centres = [(0.0, 0.0)] * len(radii)
    occupied = 0.0
    for start, i in zip(starts, rng.sample(range(len(radii)), len(radii)), strict=True):
        centres[i] = round(start + occupied + radii[i], 2), round(height + rng.uniform(-JITTER, JITTER), 2)
        occupied += 2 * radii[i] + MIN_GAP
    return centres


def draw_scene(scene: Scene, rng: random.Random) -> Image.Image:
    """Draw a scene, RGB, SIZE pixels square; rng draws the details of the ground."""
    side = SIZE * OVERSAMPLING
    image = Image.new("RGB", (side, side), scene.ground)
    draw = ImageDraw.Draw(image)
    TEXTURES[scene.texture](draw, side, scene.ground, rng)
    for shape in scene.shapes:
        x, y, r = (value * OVERSAMPLING for value in (shape.x, shape.y, shape.radius))
        if shape.kind == "circle":
            draw.ellipse((x - r, y - r, x + r, y + r), fill=COLORS[shape.color])
        else:
            draw.polygon([(x + r * u, y + r * v) for u, v in OUTLINES[shape.kind]], fill=COLORS[shape.color])
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)


def _star() -> list[tuple[float, float]]:
    radii = (1.0, 0.42) * 5
    return [(r * math.sin(i * math.pi / 5), -r * math.cos(i * math.pi / 5)) for i, r in enumerate(radii)]


def _cross(arm: float = 0.35) -> list[tuple[float, float]]:
    quarter = ((-arm, -1.0), (arm, -1.0), (arm, -arm))
    turns = ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))
    return [(a * x + b * y, c * x + d * y) for a, b, c, d in turns for x, y in quarter]


# Corners on the square from -1 to 1.
OUTLINES: dict[str, list[tuple[float, float]]] = {
    "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    "triangle": [(0.0, -1.0), (1.0, 0.9), (-1.0, 0.9)],
    "star": _star(),
    "cross": _cross(),
}


def _shade(ground: tuple[int, int, int], amount: int) -> tuple[int, int, int]:
    r, g, b = (max(0, min(255, channel + amount)) for channel in ground)
    return r, g, b


def _plain(draw: ImageDraw.ImageDraw, side: int, ground: tuple[int, int, int], rng: random.Random) -> None:
    pass


def _gradient(draw: ImageDraw.ImageDraw, side: int, ground: tuple[int, int, int], rng: random.Random) -> None:
    slope = rng.choice((-40, 40))
    for y in range(0, side, OVERSAMPLING):
        draw.rectangle((0, y, side, y + OVERSAMPLING), fill=_shade(ground, round(slope * (y / side - 0.5))))


def _stripes(draw: ImageDraw.ImageDraw, side: int, ground: tuple[int, int, int], rng: random.Random) -> None:
    width = rng.randint(8, 18) * OVERSAMPLING
    for start in range(-side, side, 2 * width):
        draw.line((start, 0, start + side, side), fill=_shade(ground, 14), width=width // 2)


def _speckles(draw: ImageDraw.ImageDraw, side: int, ground: tuple[int, int, int], rng: random.Random) -> None:
    for _ in range(160):
        x, y = rng.randrange(side), rng.randrange(side)
        r = rng.randint(2, 5) * OVERSAMPLING // 2
        draw.ellipse((x - r, y - r, x + r, y + r), fill=_shade(ground, rng.choice((-18, 18))))


TEXTURES: dict[str, Callable[[ImageDraw.ImageDraw, int, tuple[int, int, int], random.Random], None]] = {
    "plain": _plain,
    "gradient": _gradient,
    "stripes": _stripes,
    "speckles": _speckles,
}
