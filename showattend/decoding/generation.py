"""The loop over words, the same for greedy, beam, diverse, constrained search and for sampling.

All photos of a batch and all hypotheses of a photo advance together. Words are kept with back-pointers, so a step moves
W numbers a photo and not W histories; a hypothesis that has said `<end>` keeps its place and is never pushed out.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from showattend.decoding.beam_search import BeamSearch, DiverseBeamSearch
from showattend.decoding.config import GenerationConfig
from showattend.decoding.constrained import ConstrainedBeamSearch
from showattend.decoding.constraints import TokenConstraints
from showattend.decoding.sampling import Sampling
from showattend.ops.cuda_graphs import is_capturing
from showattend.vocabulary import END, PAD, START

State = tuple[Tensor, ...]
# (words (N*W,), state) -> log-probabilities (N*W,V), which `decode` may write over, state, alpha (N*W,L)
StepFunction = Callable[[Tensor, State], tuple[Tensor, State, Tensor]]


class Hypotheses(NamedTuple):
    """The captions found for N photos, C for each, the best first; drawn ones as they were drawn.

    words: numbers, `<end>` included where it was said, then `<pad>`, (N,C,T)
    scores: log-probability over length ** length_penalty, (N,C); -inf where there is no such caption
    alphas: weights on the locations at each word, zero after the end, (N,C,T,L)
    """

    words: Tensor
    scores: Tensor
    alphas: Tensor


def generate(step: StepFunction, state: State, search: GenerationConfig, keys: Sequence[int] | None = None) -> Hypotheses:
    """Find, or draw, captions of N photos.

    A photo is settled when no unfinished hypothesis can overtake the last of the finished ones that are asked for; a settled
    photo stands still, so that what is found for it does not depend on the others in the batch. A hypothesis still unfinished at
    `max_length` ranks behind every finished one.

    Args:
        step: log-probabilities of the next words and the state after the last ones; knows the photos itself
        state: the state before the first word, one row per photo, each tensor (N, ...)
        keys: a number for each photo that decides, with the seed, what is drawn for it; None: 0 to N-1
    """
    photos, device = state[0].shape[0], state[0].device
    strategy = _strategy(search, range(photos) if keys is None else keys)
    width = strategy.width
    number = torch.arange(photos, device=device).unsqueeze(1)
    limits = TokenConstraints(search, photos, width, device)
    total = strategy.init_scores(photos, device)
    # Before the first word all hypotheses of a photo are one, unless an attention draws for each sample where it looks.
    rows = width if search.sample else 1
    state = tuple(entry.repeat_interleave(rows, 0) for entry in state)
    words = torch.full((photos * rows,), START, device=device)
    ended = settled = torch.zeros(photos, width, dtype=torch.bool, device=device)
    lengths = torch.zeros(photos, width, device=device)
    history: list[tuple[Tensor, Tensor, Tensor]] = []

    for _ in range(search.max_length):
        log_probs, state, alpha = step(words, state)
        log_probs = limits.apply(log_probs.view(photos, rows, -1)).expand(photos, width, -1)
        total, parent, word = strategy.extend(total, ended | settled, log_probs)
        limits.follow(parent, word)
        ended = ended.gather(1, parent)
        lengths = lengths.gather(1, parent) + ~(ended | settled)
        ended = ended | ((word == END) & (total > -torch.inf))
        flat = (number * rows + parent.clamp(max=rows - 1)).flatten()
        state = tuple(entry.index_select(0, flat) for entry in state)
        history.append((parent, word, alpha.index_select(0, flat).view(photos, width, -1)))
        words, rows = word.flatten(), width
        scores = _normalise(total, lengths, search)
        # A log-probability only falls, and the longest caption divides it by the most: that bounds what is to come.
        hopes = _normalise(total, torch.full_like(lengths, search.max_length), search)
        settled = settled | strategy.settled(scores.masked_fill(~ended, -torch.inf), hopes.masked_fill(ended, -torch.inf))
        if not is_capturing(device) and settled.all():
            break
    order = strategy.order(scores, ended)[:, : search.num_captions]
    return Hypotheses(*_trace(history, order, scores))


def _strategy(search: GenerationConfig, keys: Sequence[int]) -> BeamSearch | Sampling:
    if search.sample:
        return Sampling(search, keys)
    if search.must_include:
        return ConstrainedBeamSearch(search)
    return DiverseBeamSearch(search) if search.groups > 1 else BeamSearch(search)


def _normalise(total: Tensor, lengths: Tensor, search: GenerationConfig) -> Tensor:
    return total / lengths.clamp(min=1) ** search.length_penalty


def _trace(history: list[tuple[Tensor, Tensor, Tensor]], order: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Words, scores and alphas of the hypotheses in `order`, by following the back-pointers from the last step to the first."""
    beams = order
    words, alphas = [], []
    for parent, word, alpha in reversed(history):
        spoken = word.gather(1, beams)
        picked = alpha.gather(1, beams.unsqueeze(-1).expand(-1, -1, alpha.shape[-1]))
        words.append(spoken)
        alphas.append(picked * (spoken != PAD).unsqueeze(-1))
        beams = parent.gather(1, beams)
    return torch.stack(words[::-1], -1), scores.gather(1, order), torch.stack(alphas[::-1], -2)
