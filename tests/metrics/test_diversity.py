"""Measures of diversity on captions small enough to count by hand."""

import pytest

from showattend.metrics.diversity import distinct, share_different, share_new, share_repeated, vocabulary_size


def test_diversity_equals_values_counted_by_hand() -> None:
    captions = [["a", "dog", "a", "dog"], ["a", "cat"], ["a", "cat"], []]
    assert vocabulary_size(captions) == 3
    assert distinct(captions, 1) == pytest.approx(3 / 8)
    assert distinct(captions, 2) == pytest.approx(3 / 5)  # a dog, dog a, a cat of 3 + 1 + 1
    assert distinct([[]], 2) == 0
    assert share_different(captions) == 3 / 4
    assert share_repeated(captions) == 2 / 4  # the two cats
    assert share_new(captions, [["a", "cat"], ["a"]]) == 1 / 2
