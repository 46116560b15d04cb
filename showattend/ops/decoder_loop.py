"""The loop over words of teacher forcing as one function with its own way back: what `Decoder._advance` does, many times as fast.

Left to autograd, every word leaves its activations behind, and every weight gets its gradient word by word. Here the way forward makes
one product of all that multiplies h (gates, query and beta) and lays every weight out once, nothing of size (L,A) is kept for a word, and
on the way back the gradients of weights and keys are made after the loop, from all words together. What is kept lies in tensors of all
words, each made once. Of a cell it wants only `move` or `step`: what these do to one word is derived by autograd on the way back. So every
cell has this path for nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from showattend.ops.additive_attention import exp_2x
from showattend.ops.linear import PackedLinear, linear, weight_grad
from showattend.ops.unroll_plan import WEIGHTS, State, StepWeights, UnrollPlan, keep_active_rows, pad_inactive_rows


@dataclass
class SavedActivations:
    """What the words leave for the way back, M rows in all, one word's after the other's.

    states: before each word
    heard: embedded words and gated contexts, (M,E+D)
    made: the cell's activations, with room for what else is made of h, (M, S*H + ·): on the way back gradients take their place
    asked: exp(2q), (M,A)
    betas: the gate at each word, (rows, 1 or D); empty: there is none
    """

    states: list[State]
    heard: Tensor
    made: Tensor
    asked: Tensor
    betas: list[Tensor]


class FusedDecoderLoop(Function):
    """h (M,H), gated contexts (M,D) and alphas (M,L) of all words, one word's rows after the other's.

    Applied to a Loop, features (N,L,D), keys (N,L,A), their exponentials, the embedded words (M,E), the Weights, the tensors of the
    first state (N*G, ·), and the parameters that `move` holds.
    """

    @staticmethod
    def forward(
        ctx: Any, loop: UnrollPlan, features: Tensor, keys: Tensor, raised: Tensor, embedded: Tensor, *rest: Any
    ) -> tuple[Tensor, ...]:
        """Say every word."""
        weights, state = StepWeights(*rest[:WEIGHTS]), rest[WEIGHTS : WEIGHTS + loop.entries]
        hear, place = PackedLinear(torch.cat(weights.recurrent_weights())), PackedLinear(weights.input, weights.bias)
        sizes, empty = [len(weight) for weight in weights.recurrent_weights()], features.new_empty
        words, of_word = embedded.shape
        made = len(weights.input) + sum(map(len, weights.query_weights()))
        trail = SavedActivations([], empty(words, of_word + features.shape[2]), empty(words, made), empty(words, keys.shape[2]), [])
        trail.heard[:, :of_word] = embedded
        activations = trail.made[:, : len(weights.input)]
        alphas, h = empty(words, features.shape[1]), []
        for before, block, rows in loop.words:
            state = tuple(keep_active_rows(entry, before, block) for entry in state)
            trail.states.append(state)
            recurrent_weights = hear(state[0]).split(sizes, -1)
            trail.asked[rows] = exp_2x(recurrent_weights[weights.hidden is not None])
            asked = trail.asked[rows].unflatten(0, block)
            alpha, context = loop.kernels.attend(raised[: block[0]], asked, -2 * weights.energy, features[: block[0]])
            alphas[rows], context = alpha.flatten(0, 1), context.flatten(0, 1)
            if weights.beta_bias is not None:
                trail.betas.append(torch.sigmoid(recurrent_weights[-1] + weights.beta_bias))
                context *= trail.betas[-1]
            trail.heard[rows, of_word:] = context
            activations[rows] = place(trail.heard[rows])
            if weights.hidden is not None:
                activations[rows] += recurrent_weights[0]
            state = loop.update(activations[rows], state)
            h.append(state[0])
        ctx.loop, ctx.trail = loop, trail
        ctx.save_for_backward(features, raised, alphas, *rest)
        return torch.cat(h), trail.heard[:, of_word:], alphas

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_h: Tensor, to_contexts: Tensor, to_alphas: Tensor) -> tuple[Tensor | None, ...]:
        """Go back word by word, then make what all words make together."""
        if ctx.trail is None:
            raise RuntimeError("this way goes back once: gradients have taken the place of what it was made of")
        loop: UnrollPlan = ctx.loop
        features, raised, alphas, *rest = ctx.saved_tensors
        weights, held = StepWeights(*rest[:WEIGHTS]), rest[WEIGHTS + loop.entries :]
        way = _BackwardPass(loop, ctx.trail, features, raised, alphas, weights, held, mixing=ctx.needs_input_grad[1])
        ctx.trail = None
        way.go(to_h, to_contexts, to_alphas)
        rows_by_image = loop.rows_by_image(features.device)
        to_keys, to_energy = _to_keys(loop, rows_by_image, way.trail.asked, raised, way.to_energies, weights.energy)
        to_features = None if way.to_seen is None else _to_features(rows_by_image, alphas, way.to_seen)
        return None, to_features, to_keys, None, way.to_embedded, *way.to_weights(to_energy), *way.to_state, *way.to_held


class _BackwardPass:
    """The gradients on their way from the last word to the first.

    to_state: of the state before the word that was gone back over last
    to_held: of the parameters that `move` holds, over all words so far
    to_embedded: (M,E)
    to_energies: (M,L)
    to_seen: of the contexts before the gate, (M,D); None: the features' mixing has no gradient
    """

    def __init__(
        self,
        loop: UnrollPlan,
        trail: SavedActivations,
        features: Tensor,
        raised: Tensor,
        alphas: Tensor,
        weights: StepWeights,
        held: Sequence[Tensor],
        *,
        mixing: bool,
    ) -> None:
        self.loop, self.trail, self.features, self.raised, self.alphas = loop, trail, features, raised, alphas
        self.weights, self.held = weights, held
        (words, heard), channels, empty = trail.heard.shape, features.shape[2], features.new_empty
        self.to_state: list[Tensor | None] = [None] * loop.entries
        self.to_held: list[Tensor | None] = [None] * len(held)
        self.to_embedded = empty(words, heard - channels)
        self.to_energies = empty(words, features.shape[1])
        self.to_seen = empty(words, channels) if mixing else None

    def go(self, to_h: Tensor, to_contexts: Tensor, to_alphas: Tensor) -> None:
        """Over all words, given the gradients of what they left for the speaking."""
        recurrent_weights = torch.cat(self.weights.recurrent_weights())
        of_word, activations = self.to_embedded.shape[1], len(self.weights.input)
        for number, (before, block, rows) in reversed(list(enumerate(self.loop.words))):
            to_activations = self._unmove(number, to_h[rows])
            to_heard = linear(to_activations, self.weights.input.t())
            to_alpha, to_gate = self._unmix(number, to_heard[:, of_word:] + to_contexts[rows])
            alpha, to_alpha = self.alphas[rows], to_alpha + to_alphas[rows]
            to_energies = alpha * (to_alpha - (alpha * to_alpha).sum(-1, keepdim=True))
            asked, of_block = self.trail.asked[rows].unflatten(0, block), to_energies.unflatten(0, block)
            to_query = 4 * self.weights.energy * self.loop.kernels.grad_queries(self.raised[: block[0]], asked, of_block).flatten(0, 1)
            torch.cat([to_activations, to_query, *to_gate], -1, out=self.trail.made[rows])
            self.to_embedded[rows], self.to_energies[rows] = to_heard[:, :of_word], to_energies
            made_of_h = self.trail.made[rows] if self.weights.hidden is not None else self.trail.made[rows, activations:]
            self.to_state[0] = _add(self.to_state[0], linear(made_of_h, recurrent_weights.t()))
            self.to_state = [None if entry is None else pad_inactive_rows(entry, before, block) for entry in self.to_state]

    def _unmove(self, number: int, to_h: Tensor) -> Tensor:
        """Through the cell: the gradient of its activations, with that of the state before it and of what it holds kept here."""
        self.to_state[0] = _add(self.to_state[0], to_h)
        word = (self.trail.made[self.loop.words[number][2], : len(self.weights.input)], *self.trail.states[number])
        leaves = [entry.detach().requires_grad_(entry.is_floating_point()) for entry in word]
        with torch.enable_grad():
            after = self.loop.update(leaves[0], tuple(leaves[1:]))
        told = [(entry, grad) for entry, grad in zip(after, self.to_state, strict=True) if grad is not None and entry.requires_grad]
        wanted = [entry for entry in (*leaves, *self.held) if entry.requires_grad]
        outputs, grads = zip(*told, strict=True)
        found = dict(zip(map(id, wanted), torch.autograd.grad(outputs, wanted, grads, allow_unused=True), strict=True))
        to_activations, *to_state = (found.get(id(leaf)) for leaf in leaves)
        self.to_state = to_state
        self.to_held = [_add(grad, found.get(id(parameter))) for grad, parameter in zip(self.to_held, self.held, strict=True)]
        assert to_activations is not None, "the cell does not hear its activations"
        return to_activations

    def _unmix(self, number: int, to_context: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Through gate and mixing: the gradients of alpha, and of what the gate is the sigmoid of, where there is one."""
        _, block, rows = self.loop.words[number]
        to_seen, to_gate = to_context, []
        if self.trail.betas:
            beta, to_gated = self.trail.betas[number], self.trail.heard[rows, self.to_embedded.shape[1] :] * to_context
            to_gate = [(1 - beta) * (to_gated if beta.shape[1] > 1 else to_gated.sum(-1, keepdim=True))]
            to_seen = beta * to_context
        if self.to_seen is not None:
            self.to_seen[rows] = to_seen
        to_alpha = torch.bmm(to_seen.unflatten(0, block), self.features[: block[0]].transpose(1, 2))
        return to_alpha.flatten(0, 1), to_gate

    def to_weights(self, to_energy: Tensor) -> StepWeights:
        """The gradients of the weights, from all words together."""
        weights, activations = self.weights, len(self.weights.input)
        # As `across` wants it, once for both products.
        made = self.trail.made = self.trail.made.t().contiguous().t()
        recurrent_weights = made if weights.hidden is not None else made[:, activations:]
        to_h = weight_grad(recurrent_weights, torch.cat([state[0] for state in self.trail.states])).split(
            [len(weight) for weight in weights.recurrent_weights()]
        )
        return StepWeights(
            energy=to_energy,
            query=to_h[weights.hidden is not None],
            beta=None if weights.beta is None else to_h[-1],
            beta_bias=None if weights.beta is None else made[:, -len(weights.beta) :].sum(0),
            input=weight_grad(made[:, :activations], self.trail.heard),
            bias=None if weights.bias is None else made[:, :activations].sum(0),
            hidden=None if weights.hidden is None else to_h[0],
        )


def _to_keys(
    loop: UnrollPlan, rows_by_image: Sequence[tuple[slice, Tensor]], asked: Tensor, raised: Tensor, to_energies: Tensor, energy: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of the keys and of w from those of all words' energies."""
    to_keys, to_energy = torch.zeros_like(raised), torch.zeros_like(energy)
    for photos, rows in rows_by_image:
        if rows.numel():
            first, second = loop.kernels.grad_keys(raised[photos], asked[rows], to_energies[rows])
            to_energy += first.sum((0, 1))
            torch.sub(first, second, out=to_keys[photos])
    return to_keys.mul_(4 * energy), -2 * to_energy


def _to_features(rows_by_image: Sequence[tuple[slice, Tensor]], alphas: Tensor, to_seen: Tensor) -> Tensor:
    """The gradient of the features where they mix to contexts."""
    return torch.cat([alphas[rows].transpose(1, 2) @ to_seen[rows] for _, rows in rows_by_image])


def _add(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """The sum of two gradients, of which any may be none."""
    if one is None or other is None:
        return other if one is None else one
    return one + other
