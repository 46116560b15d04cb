"""A language small enough to count all of its captions, for the tests of decoding."""

import itertools

import torch
from torch import Tensor

from showattend.decoding import NEVER, State
from showattend.vocabulary import END, PAD, START

WORDS, LOCATIONS, LENGTH = 7, 3, 4


class Language:
    """Next-word probabilities that depend on the photo and on all words so far, through a state that mixes them."""

    def __init__(self, photos: int, seed: int = 0, end_bias: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.start = torch.randn(photos, 5, generator=generator)
        self.mix = torch.randn(5, 5, generator=generator)
        self.heard = torch.randn(WORDS, 5, generator=generator)
        self.say = 2 * torch.randn(5, WORDS, generator=generator)
        self.bias = torch.zeros(WORDS)
        self.bias[END] = end_bias

    def step(self, words: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
        h = torch.tanh(state[0] @ self.mix + self.heard[words])
        return (h @ self.say + self.bias).log_softmax(-1), (h,), h[:, :LOCATIONS].softmax(-1)

    def log_prob(self, photo: int, words: tuple[int, ...]) -> float:
        state: State = (self.start[photo : photo + 1],)
        total, last = 0.0, START
        for word in words:
            log_probs, state, _ = self.step(torch.tensor([last]), state)
            total, last = total + log_probs[0, word].item(), word
        return total


def everything() -> list[tuple[int, ...]]:
    """All captions that end within LENGTH words."""
    sayable = [word for word in range(WORDS) if word not in (*NEVER, END)]
    return [(*said, END) for length in range(LENGTH) for said in itertools.product(sayable, repeat=length)]


def spoken(words: Tensor) -> tuple[int, ...]:
    return tuple(word for word in words.tolist() if word != PAD)
