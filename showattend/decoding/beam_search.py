"""Plain beam search, and the top-k over all continuations that its variants share.

The W hypotheses of a photo are G groups of K beams; beams compete only inside their group. Plain search has one group, diverse
search has G, and constrained search has one for each subset of the required words.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from showattend.decoding.strategy import Extension
from showattend.generation_config import GenerationConfig
from showattend.ops.cuda_graphs import compiled_in_graphs
from showattend.vocabulary import PAD


class Candidates(NamedTuple):
    """Continuations of hypotheses, each tensor (N,G,C) for C candidates per group.

    keys: log-probability to sort by; +inf for a frozen hypothesis, so that it always keeps its place
    parents: index of the continued hypothesis
    token_ids: the new token
    """

    keys: Tensor
    parents: Tensor
    token_ids: Tensor

    def best(self, count: int) -> "Candidates":
        """The candidates with the largest keys in each group, the best first."""
        keys, chosen = self.keys.topk(count, dim=-1)
        return Candidates(keys, self.parents.gather(-1, chosen), self.token_ids.gather(-1, chosen))


class BeamSearch:
    """Keep the K most probable hypotheses of each group; see `SearchStrategy` for the interface."""

    def __init__(self, config: GenerationConfig, num_groups: int = 1, beams: int | None = None) -> None:
        self.config = config
        self.num_groups = num_groups
        self.beams = beams or config.beam

    @property
    def width(self) -> int:
        """W, hypotheses per photo."""
        return self.num_groups * self.beams

    def init_scores(self, num_photos: int, device: torch.device) -> Tensor:
        """One empty hypothesis per group exists; K of them would stay K copies of the same caption."""
        log_probs = torch.full((num_photos, self.num_groups, self.beams), -torch.inf, device=device)
        log_probs[:, :, 0] = 0.0
        return log_probs.flatten(1)

    def extend(self, log_probs: Tensor, frozen: Tensor, next_log_probs: Tensor) -> Extension:
        """Keep the K best continuations of each group."""
        best = best_continuations(*self._by_group(log_probs, frozen, next_log_probs))
        return restore_frozen_log_probs(best, log_probs)

    def is_done(self, scores: Tensor, upper_bounds: Tensor) -> Tensor:
        """A photo is done when no unfinished hypothesis can overtake the last of the best `num_captions` ended ones."""
        return self._is_group_done(scores, upper_bounds, self.config.num_captions)

    def ranking(self, scores: Tensor, ended: Tensor) -> Tensor:
        """Ended hypotheses first, then by falling score."""
        return argsort_with_priority(scores, ended)

    def _by_group(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Tensors (N,W,...) as (N,G,K,...)."""
        return tuple(tensor.unflatten(1, (self.num_groups, self.beams)) for tensor in tensors)

    def _is_group_done(self, scores: Tensor, upper_bounds: Tensor, num_captions: int) -> Tensor:
        """Whether the best `num_captions` of a group are final, for each hypothesis of the group, (N,W)."""
        scores, upper_bounds = self._by_group(scores, upper_bounds)
        last = scores.topk(num_captions).values[..., -1:]
        done = last >= upper_bounds.amax(-1, keepdim=True)
        return done.expand(-1, -1, self.beams).flatten(1)


@compiled_in_graphs
def best_continuations(log_probs: Tensor, frozen: Tensor, next_log_probs: Tensor) -> Candidates:
    """The K best continuations of each group's K hypotheses: a top-k over K*V sums that sorts only about K*sqrt(V) of them.

    The vocabulary is cut into chunks of about sqrt(V) tokens. The K best tokens are all inside the K chunks with the largest
    maximum: outside of these chunks every sum is at most as large as each of the K maxima, and so K sums come before it. Two
    small top-k follow from that: one over the maxima of all chunks, which picks K chunks, and one over the tokens of those chunks.
    The chunks of all K hypotheses of a group compete together, so the work grows only linearly with K.

    Args:
        log_probs: of the hypotheses, (N,G,K)
        frozen: hypotheses that stay as they are; `<pad>` is their only continuation, (N,G,K)
        next_log_probs: of the next tokens, (N,G,K,V)

    Returns:
        the K best of each group; parents are indices into all W = G*K hypotheses of a photo
    """
    _, num_groups, beams, vocabulary_size = next_log_probs.shape
    chunk_size = math.isqrt(vocabulary_size)
    in_chunks = vocabulary_size // chunk_size * chunk_size
    active = log_probs.masked_fill(frozen, -torch.inf).unsqueeze(-1)
    beam = torch.arange(beams, device=log_probs.device).unsqueeze(-1)
    parts = (
        _from_best_chunks(active, next_log_probs[..., :in_chunks].unflatten(-1, (-1, chunk_size))),
        # The tokens after the last whole chunk, fewer than sqrt(V), are always candidates.
        (next_log_probs[..., in_chunks:] + active, beam, torch.arange(in_chunks, vocabulary_size, device=log_probs.device)),
        (torch.where(frozen, torch.inf, -torch.inf).unsqueeze(-1), beam, beam.new_full((), PAD)),
    )
    broadcast = (torch.broadcast_tensors(*part) for part in parts)
    candidates = Candidates(*(torch.cat([tensor.flatten(2) for tensor in tensors], -1) for tensors in zip(*broadcast, strict=True)))
    best = candidates.best(beams)
    first_of_group = beams * torch.arange(num_groups, device=log_probs.device).view(-1, 1)
    return Candidates(best.keys, best.parents + first_of_group, best.token_ids)


def _from_best_chunks(active: Tensor, chunks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The continuations inside the K chunks with the largest maximum of each group.

    Args:
        active: log-probabilities of the hypotheses, -inf for frozen ones, (N,G,K,1)
        chunks: log-probabilities of the next tokens, (N,G,K,chunks,tokens of a chunk)

    Returns:
        keys, beams and token ids, each (N,G,K,tokens of a chunk) or broadcast to it
    """
    num_photos, num_groups, beams, num_chunks, chunk_size = chunks.shape
    maxima = (chunks.amax(-1) + active).flatten(2)
    chosen = maxima.topk(beams, dim=-1).indices.unsqueeze(-1)
    beam, chunk = chosen // num_chunks, chosen % num_chunks
    photo = torch.arange(num_photos, device=chunks.device).view(-1, 1, 1)
    group = torch.arange(num_groups, device=chunks.device).view(-1, 1)
    keys = chunks[photo, group, beam[..., 0], chunk[..., 0]] + active.gather(2, beam)
    return keys, beam, chunk * chunk_size + torch.arange(chunk_size, device=chunks.device)


def restore_frozen_log_probs(candidates: Candidates, log_probs: Tensor) -> Extension:
    """The extension by these candidates, (N,G,K); frozen hypotheses get their log-probability back in place of the key +inf.

    Args:
        log_probs: of the hypotheses before this step, (N,W)
    """
    keys, parents, token_ids = (tensor.flatten(1) for tensor in candidates)
    return Extension(torch.where(keys == torch.inf, log_probs.gather(1, parents), keys), parents, token_ids)


def argsort_with_priority(scores: Tensor, *priorities: Tensor) -> Tensor:
    """Indices along the last axis by falling score; where a mask of `priorities` is true comes first, the last mask counts most."""
    order = scores.argsort(dim=-1, descending=True, stable=True)
    for priority in priorities:
        order = order.gather(-1, priority.gather(-1, order).int().argsort(dim=-1, descending=True, stable=True))
    return order
