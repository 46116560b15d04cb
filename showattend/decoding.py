"""Greedy and beam search over any step function: this module knows no model and no photo.

All photos of a batch and all beams of a photo advance together. Words are kept with back-pointers, so a step moves
K numbers a photo and not K histories; a beam that has said `<end>` keeps its place and is never pushed out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from showattend.errors import InputError
from showattend.vocabulary import END, PAD, START, UNKNOWN

State = tuple[Tensor, ...]
# (words (N*K,), state) -> log-probabilities (N*K,V), state, alpha (N*K,L)
StepFunction = Callable[[Tensor, State], tuple[Tensor, State, Tensor]]

NEVER = (PAD, START, UNKNOWN)


@dataclass(frozen=True)
class Search:
    """How captions are searched for.

    Raises:
        InputError: a number out of its range.
    """

    beam: int = 3  # K, hypotheses kept per photo; 1 is greedy
    max_length: int = 30  # most words, <end> counted
    length_penalty: float = 0.0  # exponent a of score = log p / length^a, <end> counted; 0 ranks by log p

    def __post_init__(self) -> None:
        for name in ("beam", "max_length"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: give at least 1")
        if self.length_penalty < 0:
            raise InputError(f"length_penalty is {self.length_penalty}: give at least 0")


class Hypotheses(NamedTuple):
    """The captions found for N photos, the best first.

    words: numbers, `<end>` included where it was said, then `<pad>`, (N,K,T)
    scores: log-probability over length ** length_penalty, (N,K)
    alphas: weights on the locations at each word, zero after the end, (N,K,T,L)
    """

    words: Tensor
    scores: Tensor
    alphas: Tensor


def beam_search(step: StepFunction, state: State, search: Search) -> Hypotheses:
    """Find the most probable captions of N photos.

    A photo is settled when its K beams have ended, or when no unfinished one can overtake the best finished one any
    more; a settled photo stands still, so that what is found for it does not depend on the others in the batch. A beam still unfinished
    at `max_length` ranks behind every finished one.

    Args:
        step: log-probabilities of the next words and the state after the last ones; knows the photos itself
        state: the state before the first word, one row per photo, each tensor (N, ...)

    Returns:
        K hypotheses per photo, the best first; the others stand as they were when the best was certain
    """
    beam = search.beam
    photos = state[0].shape[0]
    device = state[0].device
    rows = torch.arange(photos, device=device).unsqueeze(1) * beam
    state = tuple(entry.repeat_interleave(beam, 0) for entry in state)
    # Only the first beam is alive at first, or the K beams would be K times the same.
    total = torch.full((photos, beam), -torch.inf, device=device)
    total[:, 0] = 0.0
    words = torch.full((photos * beam,), START, device=device)
    ended = torch.zeros(photos, beam, dtype=torch.bool, device=device)
    settled = torch.zeros(photos, 1, dtype=torch.bool, device=device)
    lengths = torch.zeros(photos, beam, device=device)
    history: list[tuple[Tensor, Tensor, Tensor]] = []

    for _ in range(search.max_length):
        log_probs, state, alpha = step(words, state)
        log_probs = log_probs.index_fill(1, torch.tensor(NEVER, device=device), -torch.inf)
        total, parent, word = _extend(total, ended | settled, log_probs.view(photos, beam, -1))
        ended = ended.gather(1, parent)
        lengths = lengths.gather(1, parent) + ~(ended | settled)
        ended = ended | ((word == END) & (total > -torch.inf))
        flat = (rows + parent).flatten()
        state = tuple(entry[flat] for entry in state)
        history.append((parent, word, alpha[flat].view(photos, beam, -1)))
        words = word.flatten()
        settled = settled | _is_settled(total, ended, lengths, search)
        if settled.all():
            break
    order = _rank(scores := _normalise(total, lengths, search), ended)
    return Hypotheses(*_trace(history, order, scores))


def _extend(total: Tensor, frozen: Tensor, log_probs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The K best continuations of each photo: their log-probabilities, the beams they come from, their words, each (N,K)."""
    beam, vocabulary = log_probs.shape[1:]
    best, word = log_probs.topk(min(beam, vocabulary), dim=-1)
    # A frozen beam has one continuation, padding, and keeps its place whatever the others reach.
    key = (total.unsqueeze(-1) + best).masked_fill(frozen.unsqueeze(-1), -torch.inf)
    key[:, :, 0] = torch.where(frozen, torch.inf, key[:, :, 0])
    word = word.masked_fill(frozen.unsqueeze(-1), PAD)
    key, chosen = key.flatten(1).topk(beam, dim=-1)
    parent = chosen // best.shape[-1]
    extended = torch.where(key == torch.inf, total.gather(1, parent), key)
    return extended, parent, word.flatten(1).gather(1, chosen)


def _normalise(total: Tensor, lengths: Tensor, search: Search) -> Tensor:
    return total / lengths.clamp(min=1) ** search.length_penalty


def _is_settled(total: Tensor, ended: Tensor, lengths: Tensor, search: Search) -> Tensor:
    """Whether no unfinished beam of a photo can still overtake its best finished one, (N,1)."""
    finished = _normalise(total, lengths, search).masked_fill(~ended, -torch.inf)
    # A log-probability only falls, and the longest caption divides it by the most: that bounds what is to come.
    hope = _normalise(total, torch.full_like(lengths, search.max_length), search).masked_fill(ended, -torch.inf)
    return ended.all(1, keepdim=True) | (finished.amax(1, keepdim=True) > hope.amax(1, keepdim=True))


def _rank(scores: Tensor, ended: Tensor) -> Tensor:
    """Beams in falling order, the finished before the unfinished, (N,K)."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    return order.gather(1, ended.gather(1, order).int().argsort(dim=1, descending=True, stable=True))


def _trace(history: list[tuple[Tensor, Tensor, Tensor]], order: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Words, scores and alphas of the beams in `order`, by following the back-pointers from the last step to the first."""
    beams = order
    words, alphas = [], []
    for parent, word, alpha in reversed(history):
        spoken = word.gather(1, beams)
        picked = alpha.gather(1, beams.unsqueeze(-1).expand(-1, -1, alpha.shape[-1]))
        words.append(spoken)
        alphas.append(picked * (spoken != PAD).unsqueeze(-1))
        beams = parent.gather(1, beams)
    return torch.stack(words[::-1], -1), scores.gather(1, order), torch.stack(alphas[::-1], -2)
