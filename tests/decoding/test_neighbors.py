"""Neighbors weigh as scikit-learn's regression has it, and captions agree with theirs by the CIDEr-D that is equal to the official one."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from factories import LENGTH, WORDS
from ranked_captions import Photos, words
from torch import Tensor

from showattend.decoding import GenerationConfig, generate, search
from showattend.decoding.generation import Hypotheses
from showattend.decoding.neighbors import RIDGE, SCORE_WEIGHT, SHARPNESS, Neighbors, rank_by_neighbors
from showattend.decoding.reference_index import ReferenceIndex
from showattend.errors import InputError
from showattend.metrics.cider import CiderD
from showattend.metrics.document_frequencies import count_document_frequencies
from showattend.vocabulary import END, PAD

PHOTOS, CAPTIONS, CHANNELS = 12, 3, 6


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


def texts_of(token_ids: Tensor) -> list[list[list[str]]]:
    return [[words(caption) for caption in photo if (caption != PAD).any()] for photo in token_ids]


@pytest.mark.parametrize("vocabulary", [7, 40])
@pytest.mark.parametrize("seed", range(3))
def test_agreement_is_the_weighted_sum_of_the_mean_cider_d_of_each_photo(vocabulary: int, seed: int) -> None:
    torch.manual_seed(seed)
    token_ids = random_texts(20, 4, length=9, vocabulary=vocabulary)
    token_ids[3, 1:], token_ids[7, 2], token_ids[11] = PAD, PAD, PAD  # fewer captions than others, or none
    captions, weights = random_texts(15, length=12, vocabulary=vocabulary + 3), torch.randn(20)
    frequencies = count_document_frequencies(texts_of(token_ids), "words")

    def mean_cider_d(caption: Tensor, texts: list[list[str]]) -> float:
        scores = [CiderD([[text]], frequencies=frequencies).scores([0], [words(caption)])[0] for text in texts]
        return float(np.mean(scores)) / 10 if scores else 0.0

    expected = [np.dot(weights.numpy(), [mean_cider_d(caption, texts) for texts in texts_of(token_ids)]) for caption in captions]
    assert ReferenceIndex(token_ids).agreement(captions, weights).numpy() == pytest.approx(np.array(expected), abs=1e-4)


@pytest.mark.parametrize("photos", [7, 47, 179])
def test_what_people_say_of_every_photo_agrees_with_none(photos: int) -> None:
    token_ids = torch.tensor([[[5, 6, PAD], [5, 7 + 2 * photo, 8 + 2 * photo]] for photo in range(photos)])
    agreement = ReferenceIndex(token_ids).agreement(torch.tensor([[5, 6], [5, 7]]), torch.full((photos,), 1 / photos))
    assert agreement[0] == 0
    assert agreement[1] > 0


def test_no_caption_agrees_with_none_and_none_is_too_short() -> None:
    """Captions without words, or of fewer than four, have no n-grams of some orders."""
    token_ids = torch.tensor([[[4, 5]], [[4, PAD]], [[6, 5]]])
    captions = torch.tensor([[END, PAD], [4, END], [9, END]])
    agreement = ReferenceIndex(token_ids).agreement(captions, torch.ones(3)).tolist()
    factor = math.exp(-1 / 72)  # of lengths that differ by one
    assert agreement == pytest.approx([0, (1 + factor / math.sqrt(2)) / 4, 0], abs=1e-5)


@pytest.mark.parametrize("token_ids", [torch.full((3, 1, 8), 5), torch.full((1, 2, 8), 5), torch.full((3, 1, 8), PAD)])
def test_captions_that_are_all_the_same_or_without_words_decide_nothing(token_ids: Tensor) -> None:
    captions = torch.tensor([[5, 5, 5, 5, 5, END], [6, 7, 8, 9, 10, END]])
    assert ReferenceIndex(token_ids).agreement(captions, torch.ones(len(token_ids))).tolist() == [0, 0]


def test_weights_are_those_of_kernel_ridge_regression() -> None:
    kernel_ridge = pytest.importorskip("sklearn.kernel_ridge")
    features = torch.randn(PHOTOS, CHANNELS).double() * 5 + 3
    features[:, 2] = 1.5  # a channel that is always the same says nothing
    neighbors = Neighbors.from_photos(features, torch.full((PHOTOS, 1, 1), 4))
    sought, known_values = torch.randn(4, 9, CHANNELS), torch.randn(PHOTOS)
    mean, scale = features.numpy().mean(0), features.numpy().std(0) + (features.numpy().std(0) == 0)
    known, asked = (features.numpy() - mean) / scale, (sought.numpy().mean(1) - mean) / scale
    known, asked = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (known, asked))
    # Of vectors of length 1 the squared distance is 2 (1 - cosine).
    regression = kernel_ridge.KernelRidge(alpha=RIDGE, kernel="rbf", gamma=SHARPNESS / 2).fit(known, known_values.numpy())
    assert (neighbors.weights(sought) @ known_values).numpy() == pytest.approx(regression.predict(asked), abs=5e-3)


@pytest.mark.parametrize("seed", range(3))
def test_the_found_captions_are_ranked_by_agreement_and_score(seed: int) -> None:
    language, neighbors = Photos(3, seed), random_neighbors(seed)
    features = torch.randn(3, 4, CHANNELS) * 3 + 2
    config = GenerationConfig(beam=8, max_length=LENGTH, length_penalty=0.7, neighbors=True, num_captions=3)
    ranked = search(language.make_step, [features], config, neighbors=neighbors)
    found = generate(*language.make_step([]), replace(config, neighbors=False, num_captions=8))
    changed = False
    for photo, weights in enumerate(neighbors.weights(features)):

        def values(hypotheses: Hypotheses, photo: int = photo, weights: Tensor = weights) -> list[float]:
            ended = (hypotheses.token_ids[photo] == END).any(-1)
            agreement = neighbors.references.agreement(hypotheses.token_ids[photo][ended], weights)
            return (agreement + SCORE_WEIGHT * hypotheses.scores[photo][ended]).tolist()

        assert values(ranked) == pytest.approx(sorted(values(found), reverse=True)[:3], abs=1e-5)
        changed |= not torch.equal(ranked.token_ids[photo], found.token_ids[photo, :3])
    assert changed, "the ranking is another than that of the beams"


def test_products_of_16_bits_leave_the_ranking_as_it_is() -> None:
    language, neighbors, features = Photos(3, 0), random_neighbors(), torch.randn(3, 4, CHANNELS)
    found = generate(*language.make_step([]), GenerationConfig(beam=8, max_length=LENGTH, num_captions=8))
    config = GenerationConfig(beam=8, neighbors=True, num_captions=8)
    with torch.autocast("cpu", torch.bfloat16):
        ranked = rank_by_neighbors(found, features, neighbors, config)
    assert torch.equal(ranked.token_ids, rank_by_neighbors(found, features, neighbors, config).token_ids)


def test_a_photo_does_not_depend_on_the_others() -> None:
    language, neighbors = Photos(4, 2), random_neighbors()
    features = torch.randn(4, 4, CHANNELS)
    config = GenerationConfig(beam=6, max_length=LENGTH, neighbors=True, num_captions=6)
    together = search(language.make_step, [features], config, neighbors=neighbors)
    language.start = language.start[2:3]
    alone = search(language.make_step, [features[2:3]], config, neighbors=neighbors)
    assert torch.equal(alone.token_ids[0], together.token_ids[2, :, : alone.token_ids.shape[-1]])


def test_without_neighbors_the_error_says_how_to_add_them() -> None:
    config = GenerationConfig(beam=2, neighbors=True)
    with pytest.raises(InputError, match="showattend neighbors --model DIR"):
        search(Photos(1, 0).make_step, [torch.zeros(1, 1, 1)], config)
