"""Neighbors are those of the largest cosine, and captions agree with theirs by CIDEr-D, of the scorer that is equal to the official one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from factories import LENGTH, WORDS, TinyLanguage, without_padding
from torch import Tensor

from showattend.decoding import GenerationConfig, State, StepFunction, generate, search
from showattend.decoding.cider_d import InverseDocumentFrequencies, cider_d
from showattend.decoding.neighbors import SCORE_WEIGHT, SIMILARITY_POWER, Neighbors
from showattend.errors import InputError
from showattend.metrics.cider import CiderD
from showattend.metrics.document_frequencies import count_document_frequencies
from showattend.vocabulary import END, PAD

PHOTOS, CAPTIONS, CHANNELS = 12, 3, 6


class Photos(TinyLanguage):
    def make_step(self, features: list[Tensor]) -> tuple[StepFunction, State]:
        return self.step, (self.start,)


def words(token_ids: Tensor) -> list[str]:
    return [str(token) for token in without_padding(token_ids) if token != END]


def random_texts(*shape: int, length: int, vocabulary: int) -> Tensor:
    """Captions of one word to `length` words, padded."""
    texts = torch.randint(4, vocabulary, (*shape, length))
    lengths = torch.randint(1, length + 1, (*shape, 1))
    return texts.masked_fill(torch.arange(length) >= lengths, PAD)


def random_neighbors(seed: int = 0) -> Neighbors:
    """Some photos have fewer captions than others."""
    torch.manual_seed(seed)
    token_ids = random_texts(PHOTOS, CAPTIONS, length=5, vocabulary=WORDS)
    token_ids[3, 1:], token_ids[7, 2] = PAD, PAD
    return Neighbors.from_photos(torch.randn(PHOTOS, CHANNELS) * torch.arange(1, CHANNELS + 1) + 2, token_ids)


def texts_of(neighbors: Neighbors) -> list[list[list[str]]]:
    return [[words(caption) for caption in photo if (caption != PAD).any()] for photo in neighbors.token_ids]


@pytest.mark.parametrize("vocabulary", [7, 40])
def test_cider_d_weighs_ngrams_by_the_photos_that_have_them(vocabulary: int) -> None:
    corpus = random_texts(20, 4, length=9, vocabulary=vocabulary)
    texts = [[words(caption) for caption in photo] for photo in corpus]
    captions, references = random_texts(15, length=12, vocabulary=vocabulary + 3), random_texts(6, length=10, vocabulary=vocabulary + 2)
    scorer = CiderD([[words(reference)] for reference in references], frequencies=count_document_frequencies(texts, "words"))
    expected = [[scorer.scores([n], [words(caption)])[0] for n in range(6)] for caption in captions]
    assert cider_d(captions, references, InverseDocumentFrequencies(corpus)).numpy() * 10 == pytest.approx(np.array(expected), abs=1e-4)


def test_the_nearest_photos_have_the_largest_cosine_of_standardised_features() -> None:
    features = torch.randn(PHOTOS, CHANNELS).double() * 5 + 3
    features[:, 2] = 1.5  # a channel that is always the same says nothing
    neighbors = Neighbors.from_photos(features, torch.full((PHOTOS, 1, 1), 4))
    sought = torch.randn(4, 9, CHANNELS)
    rows, weights = neighbors.find(sought, 5)
    mean, scale = features.numpy().mean(0), features.numpy().std(0) + (features.numpy().std(0) == 0)
    known, asked = (features.numpy() - mean) / scale, (sought.numpy().mean(1) - mean) / scale
    cosines = (asked @ known.T) / np.outer(np.linalg.norm(asked, axis=1), np.linalg.norm(known, axis=1))
    assert weights.numpy() == pytest.approx(np.sort(cosines)[:, ::-1][:, :5].clip(0) ** SIMILARITY_POWER, abs=2e-3)
    assert np.take_along_axis(cosines, rows.numpy(), 1) == pytest.approx(np.sort(cosines)[:, ::-1][:, :5], abs=2e-3)


@pytest.mark.parametrize("count", [1, 4, 100])
@pytest.mark.parametrize("seed", range(3))
def test_the_found_captions_are_ranked_by_their_cider_d_against_the_neighbors_captions(seed: int, count: int) -> None:
    language, neighbors = Photos(3, seed), random_neighbors(seed)
    features = torch.randn(3, 4, CHANNELS) * 3 + 2
    config = GenerationConfig(beam=8, max_length=LENGTH, length_penalty=0.7, neighbors=count, num_captions=3)
    ranked = search(language.make_step, [features], config, neighbors=neighbors)
    found = generate(*language.make_step([]), replace(config, neighbors=0, num_captions=8))
    texts = texts_of(neighbors)
    frequencies = count_document_frequencies(texts, "words")
    changed = False
    for photo, (rows, weights) in enumerate(zip(*neighbors.find(features, count), strict=True)):
        assert len(rows) == min(count, PHOTOS)
        # The mean over the captions of each neighbor, then over the neighbors.
        scorers = [[CiderD([[text]], frequencies=frequencies) for text in texts[row]] for row in rows.tolist()]

        def merit(caption: Tensor, score: Tensor, scorers: list[list[CiderD]] = scorers, weights: Tensor = weights) -> float:
            means = [np.mean([scorer.scores([0], [words(caption)])[0] for scorer in own]) / 10 for own in scorers]
            return float(np.average(means, weights=weights.numpy()) + SCORE_WEIGHT * score)

        ended = (found.token_ids[photo] == END).any(-1)
        values = [merit(*each) for each in zip(found.token_ids[photo][ended], found.scores[photo][ended], strict=True)]
        chosen = [merit(*each) for each in zip(ranked.token_ids[photo], ranked.scores[photo], strict=True)]
        assert chosen == pytest.approx(sorted(values, reverse=True)[:3], abs=1e-5)
        changed |= not torch.equal(ranked.token_ids[photo], found.token_ids[photo, :3])
    assert changed, "the ranking is another than that of the beams"


def test_a_photo_does_not_depend_on_the_others() -> None:
    language, neighbors = Photos(4, 2), random_neighbors()
    features = torch.randn(4, 4, CHANNELS)
    config = GenerationConfig(beam=6, max_length=LENGTH, neighbors=5, num_captions=6)
    together = search(language.make_step, [features], config, neighbors=neighbors)
    language.start = language.start[2:3]
    alone = search(language.make_step, [features[2:3]], config, neighbors=neighbors)
    assert torch.equal(alone.token_ids[0], together.token_ids[2, :, : alone.token_ids.shape[-1]])


def test_a_photo_that_is_like_no_other_keeps_the_order_of_the_beams() -> None:
    """No neighbor has a weight, and the score alone decides."""
    language = Photos(1, 0)
    opposite = Neighbors(torch.ones(PHOTOS, 1).half(), torch.zeros(1), torch.ones(1), random_neighbors().token_ids)
    config = GenerationConfig(beam=6, max_length=LENGTH, neighbors=5, num_captions=3)
    ranked = search(language.make_step, [-torch.ones(1, 4, 1)], config, neighbors=opposite)
    found = generate(*language.make_step([]), replace(config, neighbors=0))
    assert torch.equal(ranked.token_ids, found.token_ids)


def test_without_neighbors_the_error_says_how_to_add_them() -> None:
    config = GenerationConfig(beam=2, neighbors=5)
    with pytest.raises(InputError, match="showattend neighbors --model DIR"):
        search(Photos(1, 0).make_step, [torch.zeros(1, 1, 1)], config)
