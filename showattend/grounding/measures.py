"""Measures of alpha against the boxes of the named objects: pointing, mass and intersection over union."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from showattend.arrays import Bools, Floats
from showattend.data.boxes import ObjectWord
from showattend.grounding.geometry import cell_areas, center_alpha, centers_inside, covered_areas
from showattend.grounding.mentions import Mention
from showattend.inference import Caption

MEASURES = ("pointing", "mass", "iou")
THRESHOLDS = np.geomspace(0.001, 1, 31)  # of alpha's maximum, ten to a decade: a sharp alpha is best cut low


class AttentionMaps(NamedTuple):
    """The alphas of M mentions with the geometry of their locations and boxes, (M,L) each.

    alphas: weights on the locations
    cells: area of each location's cell
    covered: the part of it that lies in the boxes of the mention, in any of them
    inside: whether the location's centre lies in one of them
    """

    alphas: Floats
    cells: Floats
    covered: Floats
    inside: Bools

    def with_uniform_alphas(self) -> "AttentionMaps":
        """The same mentions with the same weight on all locations: chance level."""
        return self._replace(alphas=np.full_like(self.alphas, 1 / self.alphas.shape[1]))

    def with_center_alphas(self, mentions: Sequence[Mention]) -> "AttentionMaps":
        """The same mentions with all weight on the centre of the photo, where photographers put things."""
        return self._replace(alphas=np.stack([center_alpha(mention.caption) for mention in mentions]))


def attention_maps(mentions: Sequence[Mention]) -> AttentionMaps:
    """Alphas and geometry of mentions whose status is `measured`."""
    captions, boxes = [mention.caption for mention in mentions], [mention.word.boxes for mention in mentions]
    return AttentionMaps(
        np.stack([mention.alpha for mention in mentions]),
        np.stack(list(map(cell_areas, captions))),
        np.stack(list(map(covered_areas, captions, boxes))),
        np.stack(list(map(centers_inside, captions, boxes))),
    )


def pointing(alphas: Floats, inside: Bools) -> Floats:
    """Whether alpha's peak lies in a box, (M,): rounds of the pointing game (Zhang et al. 2016), without its tolerance.

    Equal peaks share the point, so that a uniform alpha gets chance level: the share of locations whose centre lies in a box.
    """
    peaks = alphas == alphas.max(1, keepdims=True)
    shares: Floats = (peaks & inside).sum(1) / peaks.sum(1)
    return shares


def points_at(caption: Caption, word: ObjectWord) -> float:
    """One round of the pointing game, 0 or 1, or between if peaks are equal; a word that names nothing is a miss."""
    if not word.boxes:
        return 0.0
    alpha = caption.alphas[word.position].double().numpy()
    return float(pointing(alpha[None], centers_inside(caption, word.boxes)[None])[0])


def mass(maps: AttentionMaps) -> Floats:
    """The share of alpha in the boxes, (M,), if each location's weight is spread evenly over its cell.

    Alpha is normalised over the locations: adaptive attention's weight on its sentinel does not count.
    """
    shares: Floats = (maps.alphas * maps.covered / maps.cells).sum(1) / maps.alphas.sum(1)
    return shares


def iou(maps: AttentionMaps, threshold: float) -> Floats:
    """Intersection over union, (M,), of the boxes, clipped to the crop, and the cells with alpha >= threshold * its maximum."""
    chosen = maps.alphas >= threshold * maps.alphas.max(1, keepdims=True)
    common = (maps.covered * chosen).sum(1)
    overlap: Floats = common / ((maps.cells * chosen).sum(1) + maps.covered.sum(1) - common)
    return overlap


def best_threshold(maps: AttentionMaps) -> float:
    """The threshold, of THRESHOLDS, with the largest mean IoU: one for all mentions.

    A threshold for each mention would be chosen with knowledge of its box, and flatter any alpha. Even one threshold for thousands
    of mentions is chosen on the data that it is used for, in favour of the model by a little.
    """
    return float(max(THRESHOLDS, key=lambda threshold: iou(maps, threshold).mean()))


def measure(maps: AttentionMaps, threshold: float) -> Floats:
    """All MEASURES of each mention, (M,3)."""
    return np.stack((pointing(maps.alphas, maps.inside), mass(maps), iou(maps, threshold)), 1)
