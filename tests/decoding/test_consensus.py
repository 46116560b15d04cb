"""Captions ranked by consensus agree with the others of the beams by CIDEr-D, of the scorer that is equal to the official one."""

from dataclasses import replace

import pytest
import torch
from factories import LENGTH
from ranked_captions import Photos, words

from showattend.decoding import GenerationConfig, generate, search
from showattend.decoding.consensus import TEMPERATURE, rank_by_consensus
from showattend.decoding.generation import Hypotheses
from showattend.metrics.cider import CiderD
from showattend.metrics.document_frequencies import DocumentFrequencies
from showattend.vocabulary import END, PAD

EQUAL_WEIGHTS = DocumentFrequencies("words", photos=2, counts={})


def agreement(captions: Hypotheses, photo: int) -> list[float]:
    """The mean CIDEr-D, from 0 to 1, of a photo's captions against those that have ended, by the softmax of their scores."""
    token_ids = captions.token_ids[photo]
    texts = [words(caption) for caption in token_ids]
    ended = [row for row, caption in enumerate(token_ids) if END in caption]
    weights = torch.exp(captions.scores[photo][ended].double() / TEMPERATURE)
    total = torch.zeros(len(texts), dtype=torch.float64)
    for row, weight in zip(ended, weights / weights.sum(), strict=True):
        scorer = CiderD([[texts[row]]], frequencies=EQUAL_WEIGHTS)
        total += weight * torch.from_numpy(scorer.scores([0] * len(texts), texts)) / 10
    return total.tolist()


@pytest.mark.parametrize("penalty", [0.0, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_the_found_captions_are_ranked_by_their_cider_d_against_each_other(seed: int, penalty: float) -> None:
    language = Photos(3, seed)
    config = GenerationConfig(beam=8, max_length=LENGTH, length_penalty=penalty, consensus=True, num_captions=3)
    ranked = search(language.make_step, [], config)
    found = generate(*language.make_step([]), replace(config, consensus=False, num_captions=8))
    changed = False
    for photo in range(3):
        values = dict(zip(map(tuple, found.token_ids[photo].tolist()), agreement(found, photo), strict=True))
        best = sorted((value for caption, value in values.items() if END in caption), reverse=True)[:3]
        assert [values[tuple(caption)] for caption in ranked.token_ids[photo].tolist()] == pytest.approx(best, abs=1e-5)
        changed |= not torch.equal(ranked.token_ids[photo], found.token_ids[photo, :3])
        own = {tuple(caption): score for caption, score in zip(found.token_ids[photo].tolist(), found.scores[photo].tolist(), strict=True)}
        assert [own[tuple(caption)] for caption in ranked.token_ids[photo].tolist()] == ranked.scores[photo].tolist()
    assert changed, "the ranking is another than that of the beams"


def test_long_captions_with_words_that_come_twice() -> None:
    torch.manual_seed(0)
    captions = torch.randint(4, 8, (30, 12))
    for caption in captions:
        end = int(torch.randint(0, len(caption), ()))
        caption[end], caption[end + 1 :] = END, PAD
    found = Hypotheses(captions[None], torch.randn(1, 30), torch.zeros(1, 30, 12, 1))
    ranked = rank_by_consensus(found, GenerationConfig(beam=30, num_captions=30, consensus=True))
    values = agreement(ranked, 0)
    assert values == pytest.approx(sorted(values, reverse=True), abs=1e-5)
    assert values[0] > values[15] > 0


def test_a_photo_does_not_depend_on_the_others() -> None:
    language = Photos(4, 2)
    config = GenerationConfig(beam=6, max_length=LENGTH, consensus=True, num_captions=6)
    together = search(language.make_step, [], config)
    language.start = language.start[2:3]
    alone = search(language.make_step, [], config)
    length = alone.token_ids.shape[-1]
    assert torch.equal(alone.token_ids[0], together.token_ids[2, :, :length])


def test_a_caption_that_has_not_ended_stays_behind_those_that_have() -> None:
    language = Photos(4, 1, end_bias=-4.0)
    config = GenerationConfig(beam=6, max_length=LENGTH, consensus=True, num_captions=6)
    ended = (search(language.make_step, [], config).token_ids == END).any(-1)
    assert ended.any()
    assert not ended.all()
    assert (ended[:, :-1] >= ended[:, 1:]).all()


def test_captions_none_of_which_has_ended_keep_their_order() -> None:
    language = Photos(2, 1, end_bias=-1e4)
    config = GenerationConfig(beam=6, max_length=LENGTH, num_captions=6)
    ranked, found = (search(language.make_step, [], replace(config, consensus=consensus)) for consensus in (True, False))
    assert torch.equal(ranked.token_ids, found.token_ids)
