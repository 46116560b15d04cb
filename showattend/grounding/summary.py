"""Figures of many mentions, with intervals."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from showattend.grounding.faithfulness import Curves, areas
from showattend.grounding.geometry import Floats
from showattend.grounding.measures import MEASURES, at_centre, attention_maps, best_threshold, measure
from showattend.grounding.mentions import Mention
from showattend.metrics import Estimate, mean_estimates

Estimates = dict[str, dict[str, Estimate]]


class Noun(NamedTuple):
    """How often a noun was measured, and its means over MEASURES."""

    words: int
    means: dict[str, float]


class Summary(NamedTuple):
    """How well alpha fits the boxes, over M mentions.

    threshold: of IoU, see `best_threshold`
    estimates: for `model`, `chance` (a uniform alpha) and `centre` (all alpha in the middle), each of MEASURES
    nouns: the most frequent first
    values: of the model, (M,3)
    """

    threshold: float
    estimates: Estimates
    nouns: dict[str, Noun]
    values: Floats


def summarize(mentions: Sequence[Mention]) -> Summary:
    """Measure mentions that have a box in sight, at least one; intervals are of a bootstrap over photos."""
    found = attention_maps(mentions)
    threshold = best_threshold(found)
    values = {
        "model": measure(found, threshold),
        "chance": measure(found.uniform(), threshold),
        "centre": measure(at_centre(found, mentions), threshold),
    }
    photos = [mention.photo.id for mention in mentions]
    estimates = {who: dict(zip(MEASURES, mean_estimates(of_who, photos), strict=True)) for who, of_who in values.items()}
    rows: dict[str, list[Floats]] = defaultdict(list)
    for mention, row in zip(mentions, values["model"], strict=True):
        rows[mention.word.noun].append(row)
    ranked = sorted(rows, key=lambda noun: (-len(rows[noun]), noun))
    nouns = {noun: Noun(len(rows[noun]), dict(zip(MEASURES, np.mean(rows[noun], 0).tolist(), strict=True))) for noun in ranked}
    return Summary(threshold, estimates, nouns, values["model"])


class CurveSummary(NamedTuple):
    """Curves over many words.

    points: of `deletion` and `insertion`, in the order of `alpha` and in `random` ones, the mean at each of SHARES
    areas: under the curves, and the `difference`, alpha's less that of the random orders
    """

    points: dict[str, dict[str, list[Estimate]]]
    areas: Estimates


def summarize_curves(found: Sequence[Curves], mentions: Sequence[Mention]) -> CurveSummary:
    """The mean curves of these mentions' words, at least one; intervals are of a bootstrap over photos."""
    photos = [mention.photo.id for mention in mentions]
    points, under = {}, {}
    for name in Curves._fields:
        heights = np.stack([getattr(curve, name) for curve in found])  # (M,2,S)
        points[name] = {order: mean_estimates(heights[:, i], photos) for i, order in enumerate(("alpha", "random"))}
        by_alpha, by_chance = areas(heights).T
        columns = np.stack((by_alpha, by_chance, by_alpha - by_chance), 1)
        under[name] = dict(zip(("alpha", "random", "difference"), mean_estimates(columns, photos), strict=True))
    return CurveSummary(points, under)
