"""A decoder that only speaks: one step of it with all weights laid out for many words, without gradients or dropout.

What multiplies h (gates, query, beta) is one product, and so is what multiplies the context. Where to look follows from h before the last
word alone, so on a CPU hypotheses that continue the same one look once for all of them, and those that have ended do not look at all; a GPU
would rather do it all than look for what can be left out. The words' own share is looked up in a table as soon as making it has paid.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from showattend.attention.additive import SoftAttention
from showattend.attention.base import AttentionCache
from showattend.models.decoder import Decoder
from showattend.ops.additive_attention import exp_2x
from showattend.ops.linear import PackedLinear
from showattend.ops.unroll_plan import State
from showattend.vocabulary import END, PAD


class SharedPrefixes(NamedTuple):
    """Which of R hypotheses say a word, and which of them were one until the last one. None: all, each for itself.

    going: the numbers of those that have not ended
    eldest: for each family the number of one of them
    of: for each that goes on the number of its family
    """

    going: Tensor | None
    eldest: Tensor | None
    of: Tensor | None


def group_by_parent(words: Tensor, parents: Tensor) -> SharedPrefixes:
    """From the last word of each hypothesis, and the number that what it continues had then, each (R,)."""
    (going,) = ((words != END) & (words != PAD)).nonzero(as_tuple=True)
    known, of = parents[going].unique(return_inverse=True)
    eldest = going.new_empty(len(known)).scatter_(0, of, going)
    return SharedPrefixes(None if len(going) == len(words) else going, eldest, of)


class InferenceDecoder:
    """The step of a decoder with soft attention, see `Decoder.step`; it must be one that `supports_fused_loop`, and not change afterwards.

    Args:
        int8: weights, and what they multiply, in 8 bits
    """

    def __init__(self, decoder: Decoder, *, int8: bool = False) -> None:
        attention, deep = decoder.attention, decoder.config.deep_output
        assert isinstance(attention, SoftAttention)
        # What is made of the annotations themselves is limited by memory, not by products: 16 bits are enough, and 8 no faster.
        self.feature_dtype = torch.bfloat16 if int8 else attention.key.weight.dtype
        self.key, self.deeper = (
            PackedLinear(attention.key.weight.to(self.feature_dtype), attention.key.bias.to(self.feature_dtype)),
            attention.deeper,
        )
        weights = decoder.weights()
        self.update, _ = decoder.cell.fused_step_parts()
        self.kernels, self.energy = attention.kernels, -2 * weights.energy.detach()
        self.beta_bias = None if weights.beta_bias is None else weights.beta_bias.detach()
        self.heard = [0 if weight is None else len(weight) for weight in (weights.hidden, weights.query, weights.beta)]
        self.recurrent_proj = PackedLinear(torch.cat(weights.recurrent_weights()), int8=int8)
        of_context = [decoder.cell.input_weight(1), *([decoder.output_proj_context.weight] if deep else [])]
        self.placed = [len(weight) for weight in of_context]
        self.context_proj = PackedLinear(torch.cat(of_context), int8=int8)
        self.output_proj_h = PackedLinear(decoder.output_proj_h.weight, decoder.output_proj_h.bias, int8=int8) if deep else None
        self.output = PackedLinear(decoder.output.weight, decoder.output.bias, int8=int8)
        self.embedding = decoder.embedding.weight.detach()
        self.words = InputProjectionTable(decoder)

    def init_state(self, features: Tensor, state: State) -> tuple[AttentionCache, State]:
        """What `step` needs of the photos: features (N,L,D) and exp(2 W_a a_i) (N,L,A); and the state with the number of each row."""
        features = features.to(self.feature_dtype)
        keys = self.deeper(self.key(features.flatten(0, 1)).view(*features.shape[:2], -1).to(state[0].dtype))
        return (features, exp_2x(keys)), (*state, torch.arange(len(features), device=features.device))

    def step(self, words: Tensor, state: State, memory: AttentionCache) -> tuple[Tensor, State, Tensor]:
        """Hear the last word, look, and weigh the next one: as `Decoder.step`, but with a state that `begin` has made.

        What it gives for hypotheses that have ended is zero.
        """
        before, parents = state[:-1], state[-1]
        number = len(words)
        going, eldest, of = group_by_parent(words, parents) if words.device.type == "cpu" else SharedPrefixes(None, None, None)
        gates, query, beta = self.recurrent_proj(gather_rows(state[0], eldest)).split(self.heard, -1)
        photos = None if eldest is None else eldest // (number // len(memory[0]))
        alpha, context = self._look(query, photos, memory)
        if self.beta_bias is not None:
            context *= torch.sigmoid(beta + self.beta_bias)
        activations, *output_proj_context = self.context_proj(context).split(self.placed, -1)
        if self.heard[0]:
            activations = activations + gates
        words, before = gather_rows(words, going), tuple(gather_rows(entry, going) for entry in before)
        after = self.update(gather_rows(activations, of) + self.words(words), before)
        spoken = after[0]
        if self.output_proj_h is not None:
            spoken = self.output_proj_h(spoken).add_(self.embedding[words]).add_(gather_rows(output_proj_context[0], of)).tanh_()
        logits, *moved, alpha = (scatter_rows(entry, going, number) for entry in (self.output(spoken), *after, gather_rows(alpha, of)))
        return logits, (*moved, torch.arange(number, device=words.device)), alpha

    def _look(self, query: Tensor, photos: Tensor | None, memory: AttentionCache) -> tuple[Tensor, Tensor]:
        """Alphas (M,L) and contexts (M,D) of M queries (M,A), each with the number of its photo, in rising order; None: as many of each."""
        features, raised = memory
        if photos is None:
            alpha, context = self.kernels.attend(raised, exp_2x(query).unflatten(0, (len(features), -1)), self.energy, features)
            return alpha.flatten(0, 1), context.flatten(0, 1)
        counts = photos.bincount(minlength=len(features))
        context_proj = torch.arange(len(photos)) - (counts.cumsum(0) - counts)[photos]
        asked = query.new_ones(len(features), int(counts.max()), query.shape[1])
        asked[photos, context_proj] = exp_2x(query)
        alpha = self.kernels.energies(raised, asked, self.energy)[photos, context_proj].softmax(-1)
        seen = photos.unsqueeze(1) * features.shape[1] + torch.arange(features.shape[1])
        context = F.embedding_bag(seen, features.flatten(0, 1), mode="sum", per_sample_weights=alpha.to(self.feature_dtype))
        return alpha, context.to(alpha.dtype)


def gather_rows(entries: Tensor, rows: Tensor | None) -> Tensor:
    """Some of the rows; None: all."""
    return entries if rows is None else entries.index_select(0, rows)


def scatter_rows(entries: Tensor, rows: Tensor | None, number: int) -> Tensor:
    """The way back of `_pick`: these as some of so many rows; the others are zero."""
    return entries if rows is None else entries.new_zeros(number, *entries.shape[1:]).index_copy_(0, rows, entries)


class InputProjectionTable:
    """The words' share of the activations, W E y + b: made word by word until that has cost as much as a table of all words."""

    def __init__(self, decoder: Decoder) -> None:
        self.project, self.embedding = decoder.cell.project, decoder.embedding.weight
        # A GPU makes the table at once: what it has captured cannot change on the way.
        self.said = 0 if self.embedding.device.type == "cpu" else len(self.embedding)
        self.table: Tensor | None = None

    def __call__(self, words: Tensor) -> Tensor:
        """The embedding's share of the pre-activations of each word, from the table once that pays."""
        if self.table is None:
            self.said += len(words)
            if self.said < len(self.embedding):
                return self.project(self.embedding[words], 0)
            self.table = self.project(self.embedding, 0)
        return self.table[words]
