"""How well alpha fits the boxes of what the words name: pointing, mass and intersection over union."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from showattend.data.boxes import ObjectWord
from showattend.grounding.geometry import Bools, Floats, cell_areas, central, covered_areas, inside
from showattend.grounding.mentions import Mention
from showattend.inference import Caption

MEASURES = ("pointing", "mass", "iou")
THRESHOLDS = np.geomspace(0.001, 1, 31)  # of alpha's maximum, ten to a decade: a sharp alpha is best cut low


class AttentionMaps(NamedTuple):
    """Where a model looked at each of M mentions, and what lies there, (M,L) each.

    alphas: weights on the locations
    cells: area of each location's cell
    covered: what of it lies in the boxes of the mention, whichever of them
    inside: whether the location looks into one of them
    """

    alphas: Floats
    cells: Floats
    covered: Floats
    inside: Bools

    def uniform(self) -> "AttentionMaps":
        """Who looks everywhere alike: what chance reaches."""
        return self._replace(alphas=np.full_like(self.alphas, 1 / self.alphas.shape[1]))


def attention_maps(mentions: Sequence[Mention]) -> AttentionMaps:
    """Alphas and geometry of mentions that have a box in sight."""
    said = [(mention.caption, mention.word.boxes) for mention in mentions]
    return AttentionMaps(
        np.stack([mention.alpha for mention in mentions]),
        np.stack([cell_areas(caption) for caption, _ in said]),
        np.stack([covered_areas(caption, boxes) for caption, boxes in said]),
        np.stack([inside(caption, boxes) for caption, boxes in said]),
    )


def at_centre(found: AttentionMaps, mentions: Sequence[Mention]) -> AttentionMaps:
    """Who always looks at the middle of the photo, where photographers put things."""
    return found._replace(alphas=np.stack([central(mention.caption) for mention in mentions]))


def pointing(alphas: Floats, inside: Bools) -> Floats:
    """Whether alpha's peak lies in a box, (M,): rounds of the pointing game (Zhang et al. 2016), without its tolerance.

    Equal peaks share the point, so that a uniform alpha gets what chance gets: the share of locations that look into a box.
    """
    peaks = alphas == alphas.max(1, keepdims=True)
    shares: Floats = (peaks & inside).sum(1) / peaks.sum(1)
    return shares


def points_at(caption: Caption, word: ObjectWord) -> float:
    """One round of the pointing game, 0 or 1, or between if peaks are equal; a word that names nothing is a miss."""
    if not word.boxes:
        return 0.0
    alpha = caption.alphas[word.position].double().numpy()
    return float(pointing(alpha[None], inside(caption, word.boxes)[None])[0])


def mass(found: AttentionMaps) -> Floats:
    """The share of alpha in the boxes, (M,), if each location's weight is spread evenly over its cell.

    Of what was spent on locations: what adaptive attention spends on not looking counts nowhere.
    """
    shares: Floats = (found.alphas * found.covered / found.cells).sum(1) / found.alphas.sum(1)
    return shares


def iou(found: AttentionMaps, threshold: float) -> Floats:
    """Intersection over union, (M,), of the boxes, as far as the network saw them, and the cells with alpha >= threshold * its maximum."""
    chosen = found.alphas >= threshold * found.alphas.max(1, keepdims=True)
    common = (found.covered * chosen).sum(1)
    overlap: Floats = common / ((found.cells * chosen).sum(1) + found.covered.sum(1) - common)
    return overlap


def best_threshold(found: AttentionMaps) -> float:
    """The threshold, of THRESHOLDS, with the largest mean IoU: one for all mentions.

    One for each mention would be chosen with its box in sight, and flatter any alpha. Even one number for thousands of
    mentions is chosen on what it is used for, in favour of the model by a little.
    """
    return float(max(THRESHOLDS, key=lambda threshold: iou(found, threshold).mean()))


def measure(found: AttentionMaps, threshold: float) -> Floats:
    """All MEASURES of each mention, (M,3)."""
    return np.stack((pointing(found.alphas, found.inside), mass(found), iou(found, threshold)), 1)
