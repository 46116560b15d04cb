"""Captions ranked by consensus agree with the samples by CIDEr-D, of the scorer that is equal to the official one."""

from dataclasses import replace

import pytest
import torch
from factories import LENGTH, TinyLanguage, without_padding
from torch import Tensor

from showattend.decoding import GenerationConfig, State, StepFunction, generate, search
from showattend.decoding.consensus import SCORE_WEIGHT, rank_by_agreement, sampling_config
from showattend.decoding.generation import Hypotheses
from showattend.metrics.cider import CiderD
from showattend.metrics.document_frequencies import DocumentFrequencies
from showattend.vocabulary import END, PAD

EQUAL_WEIGHTS = DocumentFrequencies("words", photos=2, counts={})


class Photos(TinyLanguage):
    def make_step(self, features: list[Tensor]) -> tuple[StepFunction, State]:
        return self.step, (self.start,)


def words(token_ids: Tensor) -> list[str]:
    return [str(token) for token in without_padding(token_ids) if token != END]


def cider_d(captions: Tensor, samples: Tensor) -> list[float]:
    """Of captions (C,T) against samples (S,U) of a photo."""
    scorer = CiderD([[words(sample) for sample in samples]], frequencies=EQUAL_WEIGHTS)
    return scorer.scores([0] * len(captions), [words(caption) for caption in captions]).tolist()


def merit(captions: Hypotheses, photo: int, samples: Tensor) -> Tensor:
    """CIDEr-D from 0 to 1, and the share of the score, (C,)."""
    return torch.tensor(cider_d(captions.token_ids[photo], samples[photo])) / 10 + SCORE_WEIGHT * captions.scores[photo]


@pytest.mark.parametrize("penalty", [0.0, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_the_found_captions_are_ranked_by_their_cider_d_against_the_samples_and_their_score(seed: int, penalty: float) -> None:
    language = Photos(3, seed)
    config = GenerationConfig(beam=8, max_length=LENGTH, length_penalty=penalty, consensus=20, num_captions=3)
    keys = [5, 1, 8]
    ranked = search(language.make_step, [], config, keys)
    found = generate(*language.make_step([]), replace(config, consensus=0, num_captions=8), keys)
    samples = generate(*language.make_step([]), sampling_config(config), keys).token_ids
    changed = False
    for photo in range(3):
        ended = (found.token_ids[photo] == END).any(-1)
        values = merit(found, photo, samples)[ended]
        assert merit(ranked, photo, samples).tolist() == pytest.approx(values.sort(descending=True).values[:3].tolist())
        changed |= not torch.equal(ranked.token_ids[photo], found.token_ids[photo, :3])
        own = {tuple(caption): score for caption, score in zip(found.token_ids[photo].tolist(), found.scores[photo].tolist(), strict=True)}
        assert [own[tuple(caption)] for caption in ranked.token_ids[photo].tolist()] == ranked.scores[photo].tolist()
    assert changed, "the ranking is another than that of the beams"


def test_long_captions_with_words_that_come_twice() -> None:
    torch.manual_seed(0)
    captions, samples = (torch.randint(4, 8, shape) for shape in ((30, 12), (25, 15)))
    for caption in (*captions, *samples):
        end = int(torch.randint(0, len(caption), ()))
        caption[end], caption[end + 1 :] = END, PAD
    found = Hypotheses(captions[None], torch.zeros(1, 30), torch.zeros(1, 30, 12, 1))
    ranked = rank_by_agreement(found, samples[None], GenerationConfig(beam=30, num_captions=30, consensus=25))
    scores = cider_d(ranked.token_ids[0], samples)
    assert scores == pytest.approx(sorted(scores, reverse=True), abs=1e-5)
    assert scores[0] > scores[15] > 0


def test_a_photo_does_not_depend_on_the_others() -> None:
    language = Photos(4, 2)
    config = GenerationConfig(beam=6, max_length=LENGTH, consensus=10, num_captions=6)
    together = search(language.make_step, [], config, [3, 1, 4, 1])
    language.start = language.start[2:3]
    alone = search(language.make_step, [], config, [4])
    length = alone.token_ids.shape[-1]
    assert torch.equal(alone.token_ids[0], together.token_ids[2, :, :length])


def test_a_caption_that_has_not_ended_stays_behind_those_that_have() -> None:
    language = Photos(4, 1, end_bias=-4.0)
    config = GenerationConfig(beam=6, max_length=LENGTH, consensus=5, num_captions=6)
    ended = (search(language.make_step, [], config).token_ids == END).any(-1)
    assert ended.any()
    assert not ended.all()
    assert (ended[:, :-1] >= ended[:, 1:]).all()


def test_the_samples_keep_what_holds_for_them_too() -> None:
    config = GenerationConfig(
        beam=6, groups=2, min_length=2, max_length=9, no_repeat_ngram=2, ban=(7,), num_captions=2, consensus=30, length_penalty=0.7
    )
    samples = sampling_config(config)
    assert (samples.min_length, samples.max_length, samples.no_repeat_ngram, samples.ban) == (2, 9, 2, (7,))
    assert (samples.sample, samples.num_captions, samples.consensus) == (True, 30, 0)
