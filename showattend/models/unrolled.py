"""The loop over words of teacher forcing as one function with its own way back: what `Decoder._advance` does, many times as fast.

Left to autograd, every word leaves its activations behind, and every weight gets its gradient word by word. Here the way forward makes
one product of all that multiplies h (gates, query and beta) and lays every weight out once, nothing of size (L,A) is kept for a word, and
on the way back the gradients of weights and keys are made after the loop, from all words together. Of a cell it wants only `move` or
`step`: what these do to one word is derived by autograd on the way back. So every cell has this path for nothing.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from showattend.cells import State
from showattend.models.attention.energy import exponentials
from showattend.models.loop import WEIGHTS, Block, Loop, Weights, grow, shrink
from showattend.products import Packed, across


class Word(NamedTuple):
    """What a word leaves for the way back; n photos, g rows of each.

    state: before it, each (n*g, ·)
    activations: of the cell, (n*g,S*H)
    asked: exp(2q), (n,g,A)
    alpha: (n,g,L)
    seen: the context before the gate, (n*g,D)
    beta: the gate, (n*g, 1 or D); None: there is none
    """

    state: State
    activations: Tensor
    asked: Tensor
    alpha: Tensor
    seen: Tensor
    beta: Tensor | None


class Trail(NamedTuple):
    """What a word's way back leaves for the gradients that all words make together: the gradients of

    activations: (n*g,S*H)
    heard: all that was made of h, (n*g, ·)
    energies: (n*g,L)
    seen: (n*g,D)
    """

    activations: Tensor
    heard: Tensor
    energies: Tensor
    seen: Tensor


class Unrolled(Function):
    """h (M,H), gated contexts (M,D) and alphas (M,L) of all words, one word's rows after the other's.

    Applied to a Loop, features (N,L,D), keys (N,L,A), their exponentials, the words' share in the activations (M,S*H), the Weights,
    the tensors of the first state (N*G, ·), and the parameters that `move` holds.
    """

    @staticmethod
    def forward(ctx: Any, loop: Loop, features: Tensor, keys: Tensor, raised: Tensor, projected: Tensor, *rest: Any) -> tuple[Tensor, ...]:
        """Say every word."""
        weights, state = Weights(*rest[:WEIGHTS]), rest[WEIGHTS : WEIGHTS + loop.entries]
        hear, place = Packed(torch.cat(weights.of_h())), Packed(weights.context)
        words, h, contexts = [], [], []
        for (before, block), of_word in zip(loop.pairs(), projected.split(loop.sizes), strict=True):
            state = tuple(shrink(entry, before, block) for entry in state)
            heard = hear(state[0]).split([len(weight) for weight in weights.of_h()], -1)
            asked = exponentials(heard[weights.hidden is not None]).unflatten(0, block)
            alpha = loop.kernels.weigh(raised[: block[0]], asked, -2 * weights.energy).softmax(-1)
            seen = torch.bmm(alpha, features[: block[0]]).flatten(0, 1)
            beta = None if weights.beta is None else torch.sigmoid(heard[-1] + weights.beta_bias)
            contexts.append(seen if beta is None else beta * seen)
            activations = place(contexts[-1]).add_(of_word)
            if weights.hidden is not None:
                activations += heard[0]
            words.append(Word(state, activations, asked, alpha, seen, beta))
            state = loop.move(activations, state)
            h.append(state[0])
        said = torch.cat(contexts)
        ctx.loop, ctx.words = loop, words
        ctx.save_for_backward(features, raised, said, *rest)
        return torch.cat(h), said, torch.cat([word.alpha.flatten(0, 1) for word in words])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_h: Tensor, to_contexts: Tensor, to_alphas: Tensor) -> tuple[Tensor | None, ...]:
        """Go back word by word, then make what all words make together."""
        loop: Loop = ctx.loop
        features, raised, contexts, *rest = ctx.saved_tensors
        weights, held = Weights(*rest[:WEIGHTS]), rest[WEIGHTS + loop.entries :]
        way = _WayBack(loop, features, raised, weights, held)
        outer = zip(*(grad.split(loop.sizes) for grad in (to_h, to_contexts, to_alphas)), strict=True)
        for word, blocks, grads in reversed(list(zip(ctx.words, loop.pairs(), outer, strict=True))):
            way.step(word, *blocks, *grads)
        trail = Trail(*(torch.cat(parts[::-1]) for parts in zip(*way.trails, strict=True)))
        of_h = across(trail.heard, torch.cat([word.state[0] for word in ctx.words])).split([len(weight) for weight in weights.of_h()])
        to_keys, to_energy = _to_keys(loop, ctx.words, raised, trail.energies, weights.energy)
        to_weights = Weights(
            energy=to_energy,
            query=of_h[weights.hidden is not None],
            beta=None if weights.beta is None else of_h[-1],
            beta_bias=None if weights.beta is None else trail.heard[:, -len(weights.beta) :].sum(0),
            context=across(trail.activations, contexts),
            hidden=None if weights.hidden is None else of_h[0],
        )
        to_features = _to_features(loop, ctx.words, trail.seen, features) if ctx.needs_input_grad[1] else None
        return None, to_features, to_keys, None, trail.activations, *to_weights, *way.to_state, *way.to_held


class _WayBack:
    """The gradients on their way from the last word to the first.

    to_state: of the state before the word that was gone back over last
    to_held: of the parameters that `move` holds, over all words so far
    trails: of each word so far, the last one first
    """

    def __init__(self, loop: Loop, features: Tensor, raised: Tensor, weights: Weights, held: Sequence[Tensor]) -> None:
        self.loop, self.features, self.raised, self.weights, self.held = loop, features, raised, weights, held
        self.unhear, self.unplace = Packed(torch.cat(weights.of_h()).t()), Packed(weights.context.t())
        self.to_state: list[Tensor | None] = [None] * loop.entries
        self.to_held: list[Tensor | None] = [None] * len(held)
        self.trails: list[Trail] = []

    def step(self, word: Word, before: Block, block: Block, to_h: Tensor, to_context: Tensor, to_alpha: Tensor) -> None:
        """Go back over one word, given the gradients of what it left for the speaking."""
        photos, weights = block[0], self.weights
        to_activations = self._unmove(word, to_h)
        to_context = self.unplace(to_activations).add_(to_context)
        to_seen = to_context if word.beta is None else word.beta * to_context
        to_alpha = to_alpha.unflatten(0, block) + torch.bmm(to_seen.unflatten(0, block), self.features[:photos].transpose(1, 2))
        to_energies = word.alpha * (to_alpha - (word.alpha * to_alpha).sum(-1, keepdim=True))
        to_heard = [4 * weights.energy * self.loop.kernels.to_queries(self.raised[:photos], word.asked, to_energies).flatten(0, 1)]
        if weights.hidden is not None:
            to_heard.insert(0, to_activations)
        if word.beta is not None:
            to_gate = word.seen * to_context
            to_gate = to_gate.sum(-1, keepdim=True) if word.beta.shape[-1] == 1 else to_gate
            to_heard.append(to_gate * word.beta * (1 - word.beta))
        self.trails.append(Trail(to_activations, torch.cat(to_heard, -1), to_energies.flatten(0, 1), to_seen))
        self.to_state[0] = _add(self.to_state[0], self.unhear(self.trails[-1].heard))
        self.to_state = [None if entry is None else grow(entry, before, block) for entry in self.to_state]

    def _unmove(self, word: Word, to_h: Tensor) -> Tensor:
        """Through the cell: the gradient of its activations, with that of the state before it and of what it holds kept here."""
        self.to_state[0] = _add(self.to_state[0], to_h)
        leaves = [entry.detach().requires_grad_(entry.is_floating_point()) for entry in (word.activations, *word.state)]
        with torch.enable_grad():
            after = self.loop.move(leaves[0], tuple(leaves[1:]))
        told = [(entry, grad) for entry, grad in zip(after, self.to_state, strict=True) if grad is not None and entry.requires_grad]
        wanted = [entry for entry in (*leaves, *self.held) if entry.requires_grad]
        outputs, grads = zip(*told, strict=True)
        found = dict(zip(map(id, wanted), torch.autograd.grad(outputs, wanted, grads, allow_unused=True), strict=True))
        to_activations, *to_state = (found.get(id(leaf)) for leaf in leaves)
        self.to_state = to_state
        self.to_held = [_add(grad, found.get(id(parameter))) for grad, parameter in zip(self.to_held, self.held, strict=True)]
        assert to_activations is not None, "the cell does not hear its activations"
        return to_activations


def _to_keys(loop: Loop, words: Sequence[Word], raised: Tensor, to_energies: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of the keys and of w from those of all words' energies, photo by photo."""
    asked = torch.cat([word.asked.flatten(0, 1) for word in words])
    to_keys, to_energy = torch.zeros_like(raised), torch.zeros_like(energy)
    for photo, rows in enumerate(loop.of_photos):
        if len(rows):
            one = slice(photo, photo + 1)
            first, second = loop.kernels.to_keys(raised[one], asked[rows].unsqueeze(0), to_energies[rows].unsqueeze(0))
            to_energy += first.sum((0, 1))
            torch.sub(first, second, out=to_keys[one])
    return to_keys.mul_(4 * energy), -2 * to_energy


def _to_features(loop: Loop, words: Sequence[Word], to_seen: Tensor, features: Tensor) -> Tensor:
    """The gradient of the features where they mix to contexts, photo by photo."""
    alphas = torch.cat([word.alpha.flatten(0, 1) for word in words])
    return torch.stack([alphas[rows].t() @ to_seen[rows] for rows in loop.of_photos])


def _add(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """The sum of two gradients, of which any may be none."""
    if one is None or other is None:
        return other if one is None else one
    return one + other
