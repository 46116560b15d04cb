"""Entropy of alpha by the classes of words, against values worked out by hand."""

import math

import pytest
import torch

from showattend.grounding import summarize_sharpness
from showattend.inference import Caption
from showattend.vocabulary.word_classes import WordClasses

CLASSES = WordClasses([["a", "dog", "runs"], ["two", "dogs", "are", "running"]])


def caption(words: list[str], alphas: list[list[float]]) -> Caption:
    return Caption(words, 0.0, torch.tensor(alphas), (2, 2), (0, 0, 4, 4), (0, 0, 4, 4))


def test_entropy_is_zero_on_one_location_and_log_l_on_all_and_change_is_their_difference() -> None:
    sharp, flat = [1.0, 0, 0, 0], [0.25] * 4
    moving = caption(["a", "dog", "runs"], [flat, sharp, [0, 0.0, 1, 0]])
    sharpness = summarize_sharpness([("x", moving)], CLASSES)
    assert sharpness.locations == 4
    entropies = {name: (of_class.words, of_class.entropy.value) for name, of_class in sharpness.classes.items()}
    assert entropies == {"noun": (1, 0), "verb": (1, 0), "determiner": (1, pytest.approx(math.log(4)))}
    mean = [1.25 / 3, 0.25 / 3, 1.25 / 3, 0.25 / 3]
    assert sharpness.change.value == pytest.approx(-sum(p * math.log(p) for p in mean) - math.log(4) / 3)


def test_maps_that_are_all_alike_do_not_change_and_a_sentinel_does_not_count() -> None:
    alike = caption(["a", "dog"], [[0.4, 0.1, 0, 0], [0.8, 0.2, 0, 0]])  # the first word gives half of its weight to a sentinel
    sharpness = summarize_sharpness([("x", alike), ("y", caption([], []))], CLASSES)
    assert sharpness.change.value == pytest.approx(0, abs=1e-7)
    assert sharpness.classes["noun"].entropy.value == pytest.approx(sharpness.classes["determiner"].entropy.value)
