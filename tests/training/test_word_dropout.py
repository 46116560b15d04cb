"""Word dropout (Bowman et al. 2016): which inputs become `<unk>`, and how many."""

import torch
from factories import chi_squared_p

from showattend.training.word_dropout import drop_words
from showattend.vocabulary import PAD, START, UNKNOWN


def test_words_become_unknown_and_start_and_padding_stay() -> None:
    words = torch.tensor([[[START, 5, 6, 7], [START, 8, PAD, PAD]]])
    assert torch.equal(drop_words(words, 0.0), words)
    everything = torch.tensor([[[START, UNKNOWN, UNKNOWN, UNKNOWN], [START, UNKNOWN, PAD, PAD]]])
    assert torch.equal(drop_words(words, 1.0), everything)


def test_each_word_is_dropped_with_the_given_probability() -> None:
    dropped = (drop_words(torch.full((100, 5, 20), 9), 0.3) == UNKNOWN).sum()
    assert chi_squared_p(torch.stack((dropped, 10_000 - dropped)), torch.tensor([3000.0, 7000.0])) > 1e-3
