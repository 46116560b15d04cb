"""Beam search in which certain words must occur."""

import torch
from torch import Tensor

from showattend.decoding.beam_search import BeamSearch, Extension, best_in_rows, rank, thaw
from showattend.decoding.config import GenerationConfig
from showattend.vocabulary import END


class ConstrainedBeamSearch(BeamSearch):
    """A bank of K beams for every subset of the C required words (Anderson et al. 2017, without alternatives for a word).

    A hypothesis stands in the bank of the words that it has said, and competes only with its like: so a probable sentence
    cannot crowd out one that says what must be said. `<end>` is open to the last bank alone, which has said all.
    """

    def __init__(self, search: GenerationConfig) -> None:
        super().__init__(search, 2 ** len(search.must_include))
        # For each required word the banks that lack it, and where saying it leads from each: bank b to b + 2^number.
        self.ways = []
        for number, required in enumerate(search.must_include):
            lacking = [bank for bank in range(self.rows) if not bank >> number & 1]
            self.ways.append((required, lacking, [bank + (1 << number) for bank in lacking]))

    def init_scores(self, photos: int, device: torch.device) -> Tensor:
        """The empty hypothesis, in the bank that has said nothing."""
        total = super().init_scores(photos, device)
        total[:, 1:] = -torch.inf
        return total

    def extend(self, total: Tensor, frozen: Tensor, log_probs: Tensor) -> Extension:
        """The best continuations in each bank: of its own hypotheses, and of those that say the word that they lacked."""
        rows = (len(total), self.rows, self.beams)
        total_of, frozen_of, next_word = total.view(rows), frozen.view(rows), log_probs.view(*rows, -1)
        staying = next_word.clone()
        staying[:, :-1, :, END] = -torch.inf
        for required, lacking, _ in self.ways:
            staying[:, lacking, :, required] = -torch.inf
        found = [best_in_rows(total_of, frozen_of, staying)]
        own = torch.arange(self.width, device=total.device).view(1, self.rows, self.beams).expand(rows)
        for required, lacking, having in self.ways:
            leaving = (total_of + next_word[..., required]).masked_fill(frozen_of, -torch.inf)
            arriving, parents = torch.full_like(leaving, -torch.inf), own.clone()
            arriving[:, having], parents[:, having] = leaving[:, lacking], own[:, lacking]
            found.append((arriving, parents, torch.full_like(own, required)))
        keys, parents, words = (torch.cat(parts, -1) for parts in zip(*found, strict=True))
        key, chosen = keys.topk(self.beams, dim=-1)
        return thaw(key, parents.gather(-1, chosen), words.gather(-1, chosen), total)

    def settled(self, scores: Tensor, hopes: Tensor) -> Tensor:
        """As in plain search, but what is finished stands in the last bank and hope lives in all."""
        last = scores[:, -self.beams :].topk(self.search.num_captions).values[:, -1:]
        return (last >= hopes.amax(1, keepdim=True)).expand_as(scores)

    def order(self, scores: Tensor, ended: Tensor) -> Tensor:
        """The best of the last bank first; an unfinished caption that says all comes before one that does not."""
        complete = torch.zeros_like(ended)
        complete[:, -self.beams :] = True
        return rank(scores, ended, complete)
