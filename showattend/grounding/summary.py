"""Means of measures and of curves over many mentions, with bootstrap intervals over photos."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from showattend.arrays import Floats
from showattend.grounding.faithfulness import Curves, curve_areas
from showattend.grounding.measures import MEASURES, attention_maps, best_threshold, measure
from showattend.grounding.mentions import Mention
from showattend.metrics import Estimate, mean_estimates

Estimates = dict[str, dict[str, Estimate]]


class NounSummary(NamedTuple):
    """How often a noun was measured, and its means of MEASURES."""

    words: int
    means: dict[str, float]


class GroundingSummary(NamedTuple):
    """How well alpha fits the boxes, over M mentions.

    threshold: of IoU, see `best_threshold`
    estimates: for `model`, `chance` (a uniform alpha) and `centre` (all alpha on the photo's centre), each of MEASURES
    nouns: the most frequent first
    values: of the model, (M,3)
    """

    threshold: float
    estimates: Estimates
    nouns: dict[str, NounSummary]
    values: Floats


def summarize(mentions: Sequence[Mention]) -> GroundingSummary:
    """Measure mentions whose status is `measured`, at least one."""
    maps = attention_maps(mentions)
    threshold = best_threshold(maps)
    values = {
        "model": measure(maps, threshold),
        "chance": measure(maps.with_uniform_alphas(), threshold),
        "centre": measure(maps.with_center_alphas(mentions), threshold),
    }
    photos = _photo_ids(mentions)
    estimates = {source: dict(zip(MEASURES, mean_estimates(rows, photos), strict=True)) for source, rows in values.items()}
    return GroundingSummary(threshold, estimates, _summarize_nouns(mentions, values["model"]), values["model"])


class CurveSummary(NamedTuple):
    """Curves over many words.

    points: of `deletion` and `insertion`, in the order of `alpha` and in `random` ones, the mean at each of SHARES
    areas: under the curves, and the `difference`, alpha's less that of the random orders
    """

    points: dict[str, dict[str, list[Estimate]]]
    areas: Estimates


def summarize_curves(curves: Sequence[Curves], mentions: Sequence[Mention]) -> CurveSummary:
    """The mean curves of these mentions' words, at least one."""
    photos = _photo_ids(mentions)
    points, areas = {}, {}
    for name in Curves._fields:
        heights = np.stack([getattr(curve, name) for curve in curves])  # (M,2,S)
        points[name] = {order: mean_estimates(heights[:, i], photos) for i, order in enumerate(("alpha", "random"))}
        by_alpha, at_random = curve_areas(heights).T
        columns = np.stack((by_alpha, at_random, by_alpha - at_random), 1)
        areas[name] = dict(zip(("alpha", "random", "difference"), mean_estimates(columns, photos), strict=True))
    return CurveSummary(points, areas)


def _summarize_nouns(mentions: Sequence[Mention], values: Floats) -> dict[str, NounSummary]:
    rows: dict[str, list[Floats]] = defaultdict(list)
    for mention, row in zip(mentions, values, strict=True):
        rows[mention.word.noun].append(row)
    ranked = sorted(rows, key=lambda noun: (-len(rows[noun]), noun))
    return {noun: NounSummary(len(rows[noun]), dict(zip(MEASURES, np.mean(rows[noun], 0).tolist(), strict=True))) for noun in ranked}


def _photo_ids(mentions: Sequence[Mention]) -> list[int | str]:
    return [mention.photo.id for mention in mentions]
