"""One decoder step for search: all weights packed for many steps, without gradients or dropout.

`Decoder.step` defines what is computed. Three things make it faster here:

1. What multiplies h (recurrent pre-activations, query and gate) is one matrix product, and so is what multiplies the context.
2. Prefixes are shared. In beam search several hypotheses often extend the same parent. Attention depends on h_{t-1} alone, which
   these siblings have in common, so it is computed once per parent; hypotheses that have ended are not computed at all.
   On a GPU every row is computed: finding out what could be skipped would take longer.
3. W E y + b, the share of the token in the pre-activations, comes from a table of all tokens. On a CPU the table is built
   once as many tokens have been projected one by one as it has rows.

Shapes: N images with G hypotheses each, R = N*G rows, R' rows that have not ended, P parents of those; the others as in
`ops.unroll_plan`; V tokens in the vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from showattend.ops.additive_attention import exp_2x
from showattend.ops.linear import PackedLinear
from showattend.ops.unroll_plan import AttentionParts, State, StepWeights
from showattend.vocabulary import END, PAD

# Features (N,L,D) and exp(2 W_a a_i) (N,L,A).
InferenceCache = tuple[Tensor, ...]


@dataclass(frozen=True)
class InferenceParts:
    """The parts of a decoder that `InferenceDecoder` works with; their values must not change afterwards.

    attention: weights and kernels of the attention
    weights: of one step, see `StepWeights`
    update: one step of the cell, from pre-activations and state to the new state
    project_embedding: from embeddings (M,E) to their share of the pre-activations, bias included, (M,S*H)
    context_weight: from the context to the pre-activations, (S*H,D)
    embedding: of all tokens, (V,E)
    output_proj_h: weight (E,H) and bias (E,) of the deep output; None: tokens are predicted from h alone
    output_proj_context: weight of the deep output, (E,D)
    output: weight (V,E or H) and bias (V,)
    """

    attention: AttentionParts
    weights: StepWeights
    update: Callable[[Tensor, State], State]
    project_embedding: Callable[[Tensor], Tensor]
    context_weight: Tensor
    embedding: Tensor
    output_proj_h: tuple[Tensor, Tensor] | None
    output_proj_context: Tensor | None
    output: tuple[Tensor, Tensor]


class SharedPrefixes(NamedTuple):
    """Which of R rows are active, and which of those share a parent.

    active: indices of the rows that have not ended, (R',); None: all of them
    representative: for each parent the index of one of its active rows, (P,); None: no row shares a parent
    inverse: for each active row the position of its parent in `representative`, (R',); None: no row shares a parent
    """

    active: Tensor | None = None
    representative: Tensor | None = None
    inverse: Tensor | None = None


def group_by_parent(token_ids: Tensor, parents: Tensor) -> SharedPrefixes:
    """Group the rows that have not ended by their parents.

    Args:
        token_ids: the last token of each row, (R,)
        parents: the row that each row extends, as it was numbered at the step before, (R,)
    """
    (active,) = ((token_ids != END) & (token_ids != PAD)).nonzero(as_tuple=True)
    unique_parents, inverse = parents[active].unique(return_inverse=True)
    representative = active.new_empty(len(unique_parents)).scatter_(0, inverse, active)
    return SharedPrefixes(None if len(active) == len(token_ids) else active, representative, inverse)


class InferenceDecoder:
    """`Decoder.step` with packed weights, for an additive attention and a cell that support the fused loop.

    Args:
        dtype: of the operands of products, all else keeps the precision of the weights; int8: weights of 8 bits, see `PackedLinear`
        alone: no other thread multiplies matrices of float32 meanwhile; else logits do not take the process-wide switch of
            `onednn.linear_rounding_operands`, which would round those too, and have operands of float32
    """

    def __init__(self, parts: InferenceParts, dtype: torch.dtype, *, alone: bool = True) -> None:
        attention, weights = parts.attention, parts.weights
        # Features and keys are limited by memory bandwidth: 16 bits are enough, and 8 would be no faster.
        self.feature_dtype = torch.bfloat16 if dtype == torch.int8 else dtype
        self.key = PackedLinear(attention.key_weight, attention.key_bias, dtype=self.feature_dtype)
        self.key_mlp, self.kernels = attention.key_mlp, attention.kernels
        self.state_dtype = torch.promote_types(weights.energy.dtype, torch.float32)
        self.scaled_energy = -2 * weights.energy.detach().to(self.state_dtype)
        self.beta_bias = None if weights.beta_bias is None else weights.beta_bias.detach()
        self.recurrent_sizes = weights.recurrent_sizes()
        self.recurrent_proj = PackedLinear(weights.recurrent_weight(), dtype=dtype)
        context_weights = [weight for weight in (parts.context_weight, parts.output_proj_context) if weight is not None]
        self.context_sizes = [len(weight) for weight in context_weights]
        self.context_proj = PackedLinear(torch.cat(context_weights), dtype=dtype)
        self.output_proj_h = None if parts.output_proj_h is None else PackedLinear(*parts.output_proj_h, dtype=dtype)
        # Logits rounded to bfloat16 would reorder tokens that are almost equally probable.
        self.output = PackedLinear(*parts.output, dtype=dtype if alone or dtype == torch.int8 else None, exact_result=True)
        self.update, self.embedding = parts.update, parts.embedding.detach()
        self.input_projection = InputProjectionTable(parts.project_embedding, parts.embedding)

    def init_state(self, features: Tensor, state: State) -> tuple[InferenceCache, State]:
        """The cache of N images and the first state, as `step` takes them.

        Args:
            features: (N,L,D)
            state: the decoder's, tensors (N, ...)

        Returns:
            cache: see `InferenceCache`
            state: the same tensors and, last, the index of each row, by which `step` recognises siblings after a search has
                reordered the rows
        """
        features = features.to(self.feature_dtype)
        keys = self.key_mlp(self.key(features.flatten(0, 1)).view(*features.shape[:2], -1).to(self.state_dtype))
        state = tuple(entry.to(self.state_dtype) if entry.is_floating_point() else entry for entry in state)
        return (features, exp_2x(keys)), (*state, torch.arange(len(features), device=features.device))

    def step(self, token_ids: Tensor, state: State, cache: InferenceCache) -> tuple[Tensor, State, Tensor]:
        """The same as `Decoder.step`, with a state from `init_state`; rows that have ended give zeros.

        Args:
            token_ids: the last token of each row, (R,)
            state: of each row, tensors (R, ...)
            cache: of the N images

        Returns:
            logits of the next token (R,V), the new state, alpha (R,L)
        """
        state, parents, rows = state[:-1], state[-1], len(token_ids)
        shared = group_by_parent(token_ids, parents) if token_ids.device.type == "cpu" else SharedPrefixes()
        from_h, alpha, context = self._attend(state[0], shared.representative, cache, rows)
        from_context, *deep_context = self.context_proj(context).split(self.context_sizes, -1)
        if self.recurrent_sizes[0]:
            from_context = from_context + from_h
        active_ids, active_state = gather_rows(token_ids, shared.active), tuple(gather_rows(entry, shared.active) for entry in state)
        preactivations = gather_rows(from_context, shared.inverse) + self.input_projection(active_ids)
        new_state = self.update(preactivations, active_state)
        hidden = new_state[0]
        if self.output_proj_h is not None:
            deep = self.output_proj_h(hidden).add_(self.embedding[active_ids])
            hidden = deep.add_(gather_rows(deep_context[0], shared.inverse)).tanh_()
        results = (self.output(hidden), *new_state, gather_rows(alpha, shared.inverse))
        logits, *padded_state, alpha = (scatter_rows(entry, shared.active, rows) for entry in results)
        return logits, (*padded_state, torch.arange(rows, device=token_ids.device)), alpha

    def _attend(self, h: Tensor, representative: Tensor | None, cache: InferenceCache, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """For each parent the recurrent pre-activations (P,S*H), alpha (P,L) and the gated context (P,D)."""
        from_h, query, beta, _ = self.recurrent_proj(gather_rows(h, representative)).split(self.recurrent_sizes, -1)
        if representative is None:
            queries = exp_2x(query).unflatten(0, (len(cache[0]), -1))
            alpha, context = (part.flatten(0, 1) for part in self.kernels.attend(cache[1], queries, self.scaled_energy, cache[0]))
        else:
            alpha, context = self._attend_unevenly(query, representative // (rows // len(cache[0])), cache)
        if self.beta_bias is not None:
            context *= torch.sigmoid(beta + self.beta_bias)
        return from_h, alpha, context

    def _attend_unevenly(self, query: Tensor, images: Tensor, cache: InferenceCache) -> tuple[Tensor, Tensor]:
        """Alpha (P,L) and context (P,D) where images have different numbers of queries.

        Args:
            query: (P,A)
            images: the image of each query, in ascending order, (P,)
        """
        features, exp_keys = cache
        alpha = self.kernels.row_energies(exp_keys, images, exp_2x(query), self.scaled_energy).softmax(-1)
        locations = images.unsqueeze(1) * features.shape[1] + torch.arange(features.shape[1])
        context = F.embedding_bag(locations, features.flatten(0, 1), mode="sum", per_sample_weights=alpha.to(self.feature_dtype))
        return alpha, context.to(alpha.dtype)


def gather_rows(entries: Tensor, indices: Tensor | None) -> Tensor:
    """The rows at these indices; None: all rows."""
    return entries if indices is None else entries.index_select(0, indices)


def scatter_rows(entries: Tensor, indices: Tensor | None, rows: int) -> Tensor:
    """The inverse of `gather_rows`: these entries at their indices among so many rows, zeros elsewhere."""
    return entries if indices is None else entries.new_zeros(rows, *entries.shape[1:]).index_copy_(0, indices, entries)


class InputProjectionTable:
    """The share of a token in the pre-activations, W E y + b; see the top of the file for when the table is built.

    Args:
        project: from embeddings (M,E) to (M,S*H)
        embedding: of all tokens, (V,E)
    """

    def __init__(self, project: Callable[[Tensor], Tensor], embedding: Tensor) -> None:
        self.project, self.embedding = project, embedding
        # On a GPU the table is built at once: a captured CUDA graph cannot switch to it later.
        self.table = None if embedding.device.type == "cpu" else project(embedding).detach()
        self.num_projected = 0

    def __call__(self, token_ids: Tensor) -> Tensor:
        """The share of these tokens, (M,) to (M,S*H)."""
        if self.table is None:
            self.num_projected += len(token_ids)
            if self.num_projected < len(self.embedding):
                return self.project(self.embedding[token_ids])
            self.table = self.project(self.embedding)
        return self.table[token_ids]
