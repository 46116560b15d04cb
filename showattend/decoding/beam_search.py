"""Beam search, plain and in groups: which K continuations of K hypotheses are kept.

All strategies (here, `banks` and `samples`) have one interface. They see W hypotheses of each of N photos, laid out as R rows of K
beams: one row in plain search, a row for each group, a row for each subset of the required words.
"""

import math
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from showattend.decoding.config import GenerationConfig
from showattend.vocabulary import PAD


class Extension(NamedTuple):
    """The W hypotheses that are kept, each (N,W).

    total: log-probabilities
    parent: the number of the hypothesis that each continues
    word: the words that they say; `<pad>` for one that stands still
    """

    total: Tensor
    parent: Tensor
    word: Tensor


class BeamSearch:
    """Keep the K most probable hypotheses."""

    def __init__(self, search: GenerationConfig, rows: int = 1) -> None:
        self.search = search
        self.rows = rows
        self.beams = search.beam

    @property
    def width(self) -> int:
        """W, hypotheses of a photo."""
        return self.rows * self.beams

    def init_scores(self, photos: int, device: torch.device) -> Tensor:
        """Log-probabilities of the empty hypotheses, (N,W): one is alive, or the K beams would be K times the same."""
        total = torch.full((photos, self.rows, self.beams), -torch.inf, device=device)
        total[:, :, 0] = 0.0
        return total.flatten(1)

    def extend(self, total: Tensor, frozen: Tensor, log_probs: Tensor) -> Extension:
        """The best continuations.

        Args:
            total: log-probabilities of the hypotheses, (N,W)
            frozen: which of them stand still, whatever the others reach, (N,W)
            log_probs: of the next words, -inf where one may not come, (N,W,V)
        """
        rows = (len(total), self.rows, self.beams)
        key, parent, word = best_in_rows(total.view(rows), frozen.view(rows), log_probs.view(*rows, -1))
        return thaw(key, parent, word, total)

    def settled(self, scores: Tensor, hopes: Tensor) -> Tensor:
        """For which hypotheses (N,W) nothing can change any more.

        Args:
            scores: of the finished hypotheses, -inf for the others, (N,W)
            hopes: bounds on what the unfinished ones can still reach, -inf for the finished, (N,W)
        """
        return self._settled_rows(scores, hopes, self.search.num_captions)

    def _settled_rows(self, scores: Tensor, hopes: Tensor, captions: int) -> Tensor:
        """In each row: no hypothesis can overtake the last of so many finished ones."""
        rows = (len(scores), -1, self.beams)
        last = scores.view(rows).topk(captions).values[..., -1:]
        return (last >= hopes.view(rows).amax(-1, keepdim=True)).expand(-1, -1, self.beams).flatten(1)

    def order(self, scores: Tensor, ended: Tensor) -> Tensor:
        """The numbers of the hypotheses, the best first, the finished before the unfinished, (N,W)."""
        return rank(scores, ended)


class DiverseBeamSearch(BeamSearch):
    """Beams in groups, the later ones kept away from the words that earlier ones say at the same place.

    Diverse beam search with the Hamming distance (Vijayakumar et al. 2018). What is said already counts against a word when
    beams are chosen, but not in their scores: those stay log-probabilities.
    """

    def __init__(self, search: GenerationConfig) -> None:
        super().__init__(search, search.groups)
        self.beams = search.beam // search.groups

    def extend(self, total: Tensor, frozen: Tensor, log_probs: Tensor) -> Extension:
        """The best continuations, group after group."""
        rows = (len(total), self.rows, self.beams)
        totals, stills, weighed = total.view(rows), frozen.view(rows), log_probs.view(*rows, -1)
        said = torch.zeros_like(weighed[:, 0, 0])
        found = []
        for group in range(self.rows):
            one = slice(group, group + 1)
            penalised = weighed[:, one] - self.search.diversity * said.view(len(total), 1, 1, -1)
            key, parent, word = best_in_rows(totals[:, one], stills[:, one], penalised)
            found.append((key + self.search.diversity * said.gather(1, word[:, 0]).unsqueeze(1), parent + group * self.beams, word))
            said = said.scatter_add(1, word[:, 0], (word[:, 0] != PAD).to(said.dtype))
        keys, parents, words = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        return thaw(keys, parents, words, total)

    def settled(self, scores: Tensor, hopes: Tensor) -> Tensor:
        """As in plain search, for each group and its share of the captions."""
        return self._settled_rows(scores, hopes, math.ceil(self.search.num_captions / self.rows))

    def order(self, scores: Tensor, ended: Tensor) -> Tensor:
        """The groups' best first, the best of these before the others; then their seconds."""
        rows = (len(scores), self.rows, self.beams)
        in_group = rank(scores.view(rows), ended.view(rows)).argsort(-1).flatten(1)
        order = rank(scores, ended)
        return order.gather(1, in_group.gather(1, order).argsort(dim=1, stable=True))


def best_in_rows(total: Tensor, frozen: Tensor, log_probs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The K best continuations of each row's K hypotheses.

    They lie in those K stretches of the vocabulary, whosever continuations these are, whose own best are the best, or behind the last
    whole stretch: so little is sorted, and no more than linearly in K.

    Args:
        total: log-probabilities, (N,R,K)
        frozen: which stand still, (N,R,K)
        log_probs: of the next words, (N,R,K,V)

    Returns:
        keys to rank them by, +inf for what stands still; parents, numbered within all of a photo; words, each (N,R,K)
    """
    rows, beam, vocabulary = log_probs.shape[1:]
    number = partial(torch.arange, device=total.device)
    stretch = math.isqrt(vocabulary)
    whole = vocabulary // stretch * stretch
    moving = total.masked_fill(frozen, -torch.inf).unsqueeze(-1)
    stretches = log_probs[..., :whole].unflatten(-1, (-1, stretch))
    which = (stretches.amax(-1) + moving).flatten(2).topk(beam, dim=-1).indices.unsqueeze(-1)
    owner, begin = which // stretches.shape[-2], which % stretches.shape[-2]
    photo, row, own = number(len(total)).view(-1, 1, 1), number(rows).view(-1, 1), number(beam).view(-1, 1)
    # A frozen beam has one continuation, padding, and keeps its place whatever the others reach.
    candidates = (
        (stretches[photo, row, owner[..., 0], begin[..., 0]] + moving.gather(2, owner), owner, begin * stretch + number(stretch)),
        (log_probs[..., whole:] + moving, own, number(whole, vocabulary)),
        (torch.where(frozen, torch.inf, -torch.inf).unsqueeze(-1), own, own.new_full((), PAD)),
    )
    keys = torch.cat([key.flatten(2) for key, _, _ in candidates], -1)
    parents, words = (torch.cat([c[part].expand_as(c[0]).flatten(2) for c in candidates], -1) for part in (1, 2))
    key, chosen = keys.topk(beam, dim=-1)
    return key, parents.gather(2, chosen) + beam * number(rows).view(-1, 1), words.gather(2, chosen)


def thaw(key: Tensor, parent: Tensor, word: Tensor, total: Tensor) -> Extension:
    """The extension that keys, parents and words, (N,R,K), stand for: what stood still keeps its log-probability of `total`, (N,W)."""
    key, parent, word = key.flatten(1), parent.flatten(1), word.flatten(1)
    return Extension(torch.where(key == torch.inf, total.gather(1, parent), key), parent, word)


def rank(scores: Tensor, *before: Tensor) -> Tensor:
    """Numbers along the last axis by falling score; what is true in `before` comes first, the last one of these counting most."""
    order = scores.argsort(dim=-1, descending=True, stable=True)
    for preference in before:
        order = order.gather(-1, preference.gather(-1, order).int().argsort(dim=-1, descending=True, stable=True))
    return order
