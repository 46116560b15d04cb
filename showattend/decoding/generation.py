"""The loop over words that greedy search, all kinds of beam search, and sampling share.

All photos of a batch and all hypotheses of a photo advance together. Tokens are stored with back-pointers, so that a step moves
W integers per photo and not W token sequences. A hypothesis that has reached `<end>` keeps its place until the search is over.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from showattend.decoding.beam_search import BeamSearch
from showattend.decoding.constrained import ConstrainedBeamSearch
from showattend.decoding.constraints import TokenConstraints
from showattend.decoding.diverse import DiverseBeamSearch
from showattend.decoding.sampling import Sampling
from showattend.decoding.strategy import Extension, SearchStrategy
from showattend.generation_config import GenerationConfig
from showattend.ops.cuda_graphs import compiled_in_graphs, is_capturing
from showattend.ops.unroll_plan import State
from showattend.vocabulary import END, PAD, START

# (input_ids (N*W,), state) -> log-probabilities (N*W,V), which `generate` may overwrite, state, alpha (N*W,L)
StepFunction = Callable[[Tensor, State], tuple[Tensor, State, Tensor]]


class Hypotheses(NamedTuple):
    """C captions for each of N photos, the best first; samples in the order in which they were drawn.

    token_ids: up to and with `<end>` where it was reached, then `<pad>`, (N,C,T)
    scores: log-probability over length ** length_penalty, (N,C); -inf where there is no such caption
    alphas: weights on the locations at each word, zero after the end, (N,C,T,L)
    """

    token_ids: Tensor
    scores: Tensor
    alphas: Tensor

    def best(self, values: Tensor, count: int) -> "Hypotheses":
        """The captions of the highest values (N,C), these first; those that have not ended, or do not exist, stay behind all others."""
        whole = (self.token_ids == END).any(-1) & (self.scores > -torch.inf)
        values = values.masked_fill(~whole, -torch.inf)
        order = values.sort(descending=True, stable=True).indices[:, :count]
        rows = torch.arange(len(order), device=order.device).unsqueeze(1)
        return Hypotheses(*(entry[rows, order] for entry in self))


class HistoryStep(NamedTuple):
    """The entries that one step adds to W hypotheses of N photos: back-pointers (N,W), token ids (N,W), alphas (N,W,L)."""

    parents: Tensor
    token_ids: Tensor
    alphas: Tensor


class Progress(NamedTuple):
    """How far the W hypotheses of N photos are, each tensor (N,W).

    log_probs: of all tokens so far
    lengths: number of tokens, `<end>` included
    ended: whether `<end>` was reached
    done: whether the strategy needs no further step
    """

    log_probs: Tensor
    lengths: Tensor
    ended: Tensor
    done: Tensor

    def extend(self, extension: Extension) -> "Progress":
        """The progress after one more step."""
        log_probs, parents, token_ids = extension
        # Where there are fewer continuations than hypotheses, some have the probability 0, those of an ended one among them.
        exists = log_probs > -torch.inf
        ended = self.ended.gather(1, parents) & exists
        lengths = self.lengths.gather(1, parents) + ~(ended | self.done)
        ended = ended | ((token_ids == END) & exists)
        return Progress(log_probs, lengths, ended, self.done)

    def scores(self, length_penalty: float) -> Tensor:
        """Log-probability over length ** length_penalty, (N,W)."""
        return self.log_probs / self.lengths.clamp(min=1) ** length_penalty


def generate(step: StepFunction, state: State, config: GenerationConfig, keys: Sequence[int] | None = None) -> Hypotheses:
    """Search for captions of N photos, or sample them.

    A photo is done when no unfinished hypothesis can overtake the last of the best `num_captions` ended ones. Its hypotheses are
    frozen then, so that its result does not depend on the other photos of the batch. A hypothesis that has not ended at
    `max_length` ranks behind every one that has.

    Args:
        step: log-probabilities of the next tokens and the new state; knows the photos itself
        state: the state before the first word, one row per photo, each tensor (N, ...)
        keys: an integer for each photo that decides, with the seed, what is sampled for it; None: 0 to N-1
    """
    num_photos, device = len(state[0]), state[0].device
    strategy = _make_strategy(config, range(num_photos) if keys is None else keys)
    width = strategy.width
    constraints = TokenConstraints(config, num_photos, width, device)
    # Before the first word all hypotheses of a photo are the same row, but hard attention samples a location for each of them.
    rows = width if config.sample else 1
    state = tuple(entry.repeat_interleave(rows, 0) for entry in state)
    input_ids = torch.full((num_photos * rows,), START, device=device)
    none = torch.zeros(num_photos, width, dtype=torch.bool, device=device)
    progress = Progress(strategy.init_scores(num_photos, device), torch.zeros_like(none, dtype=torch.float32), none, none)
    history: list[HistoryStep] = []

    for _ in range(config.max_length):
        log_probs, state, alpha = step(input_ids, state)
        log_probs = constraints.apply(log_probs.view(num_photos, rows, -1)).expand(num_photos, width, -1)
        extension = strategy.extend(progress.log_probs, progress.ended | progress.done, log_probs)
        constraints.update(extension.parents, extension.token_ids)
        state, alphas, progress = _advance(strategy, config, extension, state, alpha, progress)
        history.append(HistoryStep(extension.parents, extension.token_ids, alphas))
        input_ids, rows = extension.token_ids.flatten(), width
        if not is_capturing(device) and progress.done.all():
            break
    scores = progress.scores(config.length_penalty)
    return backtrack(history, scores, strategy.ranking(scores, progress.ended)[:, : config.num_captions])


def _make_strategy(config: GenerationConfig, keys: Sequence[int]) -> SearchStrategy:
    if config.sample:
        return Sampling(config, keys)
    if config.must_include:
        return ConstrainedBeamSearch(config)
    return DiverseBeamSearch(config) if config.groups > 1 else BeamSearch(config)


@compiled_in_graphs
def _advance(
    strategy: SearchStrategy, config: GenerationConfig, extension: Extension, state: State, alpha: Tensor, progress: Progress
) -> tuple[State, Tensor, Progress]:
    """The states of the extended hypotheses, the weights on the locations (N,W,L) at their last word, and the progress after it.

    Args:
        state, alpha: of the hypotheses before, R rows for each photo
    """
    num_photos, width = extension.parents.shape
    rows = len(alpha) // max(1, num_photos)
    first_row = rows * torch.arange(num_photos, device=alpha.device).unsqueeze(1)
    parent_rows = (first_row + extension.parents.clamp(max=rows - 1)).flatten()
    state = tuple(entry.index_select(0, parent_rows) for entry in state)
    alphas = alpha.index_select(0, parent_rows).view(num_photos, width, -1)
    return state, alphas, _mark_done(progress.extend(extension), strategy, config)


def _mark_done(progress: Progress, strategy: SearchStrategy, config: GenerationConfig) -> Progress:
    """The progress with `done` set where no further step can change the result."""
    scores = progress.scores(config.length_penalty)
    # A log-probability only falls, and the longest caption divides it by the most: that bounds every later score.
    longest = Progress(progress.log_probs, torch.full_like(progress.lengths, config.max_length), progress.ended, progress.done)
    upper_bounds = longest.scores(config.length_penalty)
    done = strategy.is_done(scores.masked_fill(~progress.ended, -torch.inf), upper_bounds.masked_fill(progress.ended, -torch.inf))
    return Progress(progress.log_probs, progress.lengths, progress.ended, progress.done | done)


def backtrack(history: Sequence[HistoryStep], scores: Tensor, order: Tensor) -> Hypotheses:
    """The hypotheses `order` (N,C) of the last step, read along the back-pointers from the last step to the first.

    Args:
        scores: of all hypotheses of the last step, (N,W)
    """
    current = order
    token_ids, alphas = [], []
    for step in reversed(history):
        chosen = step.token_ids.gather(1, current)
        chosen_alphas = step.alphas.gather(1, current.unsqueeze(-1).expand(-1, -1, step.alphas.shape[-1]))
        token_ids.append(chosen)
        alphas.append(chosen_alphas * (chosen != PAD).unsqueeze(-1))
        current = step.parents.gather(1, current)
    return Hypotheses(torch.stack(token_ids[::-1], -1), scores.gather(1, order), torch.stack(alphas[::-1], -2))
