"""The decoder's loop over time as one autograd function with a backward pass of its own, several times as fast as autograd's.

`Decoder._loop_autograd` defines what is computed. Left to autograd, that loop stores the activations of every time step in
tensors of their own, and adds to the gradient of every weight at every time step. Here:

1. Forward, one matrix product per time step computes all that multiplies h_{t-1}: recurrent pre-activations, query and gate, and
   one what multiplies the context. Weights are packed once for all time steps. The embeddings' share of the pre-activations is one
   product for all time steps.
2. Keys are shared. exp(2 W_a a_i) is computed once per image, and nothing of size (L,A) is stored for a token: the backward
   pass computes it again from exp(2k) and exp(2q), see `ops.additive_attention`.
3. Backward, the loop over time carries only the gradient of the state. The gradients of weights, keys, features and embeddings are
   computed after it, each as one product over the rows of all time steps.

In mixed precision the operands of products have 16 bits, see `ops.linear`; pre-activations, states, exp(2q) and alphas have 32.

Stored activations lie in tensors of all time steps, allocated once; the gradient of the pre-activations overwrites them. One time step
gets views of them, and so all time steps of one shape are one compiled function where a CUDA graph captures them. The cell
takes part through `update` alone: autograd differentiates one step of it at a time, from its saved inputs. A cell needs no
backward pass of its own.

Shapes: see `ops.unroll_plan`; P is the number of columns of pre-activations, query and gate together, and of zeros (ROW_MULTIPLE).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from showattend.ops.additive_attention import exp_2x
from showattend.ops.cuda_graphs import compiled_in_graphs
from showattend.ops.linear import PackedLinear, multiply, weight_grad
from showattend.ops.unroll_plan import NUM_WEIGHTS, State, StepWeights, TimeStep, UnrollPlan, keep_active_rows, pad_inactive_rows


@dataclass
class SavedActivations:
    """Activations that the backward pass needs; rows of all time steps, M in all, the first time step first.

    embedding_weight, context_weight: the two parts of the input weight, in the precision of products
    states: the state before each time step
    inputs: embedding and gated context, in the precision of products, (M,E+D)
    preactivations: of the cell, in the first S*H of P columns; the backward pass writes the gradients of pre-activations,
        query and gate there, (M,P)
    exp_queries: exp(2q), (M,A)
    gates: beta at each time step, (rows, 1 or D); empty without a gate
    """

    embedding_weight: Tensor
    context_weight: Tensor
    states: list[State]
    inputs: Tensor
    preactivations: Tensor
    exp_queries: Tensor
    gates: list[Tensor]


class FusedDecoderLoop(Function):
    """h (M,H), gated contexts (M,D) and alphas (M,L) of all time steps, the rows of the first time step first.

    Applied to an UnrollPlan, features (N,L,D), keys (N,L,A), exp_2x(keys), embeddings (M,E), the StepWeights, the tensors of the first
    state (N*G, ·), and the parameters that `update` uses.
    """

    @staticmethod
    def forward(
        ctx: Any, plan: UnrollPlan, features: Tensor, keys: Tensor, exp_keys: Tensor, embeddings: Tensor, *rest: Any
    ) -> tuple[Tensor, ...]:
        """Run all time steps."""
        weights, state = _step_weights(rest, exp_keys), rest[NUM_WEIGHTS : NUM_WEIGHTS + plan.num_state_tensors]
        with torch.autocast(features.device.type, enabled=False):
            forward_pass = _ForwardPass(plan, features, exp_keys, embeddings, weights)
            h = forward_pass.run(state)
        ctx.plan, ctx.saved = plan, forward_pass.saved
        ctx.save_for_backward(features, exp_keys, forward_pass.alphas, *rest)
        return h.to(embeddings.dtype), forward_pass.contexts, forward_pass.alphas

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor, grad_contexts: Tensor, grad_alphas: Tensor) -> tuple[Tensor | None, ...]:
        """Run the time steps in reverse, then compute the gradients that all time steps share."""
        if ctx.saved is None:
            raise RuntimeError("backward() was called twice: the saved buffers are freed after the first call")
        plan: UnrollPlan = ctx.plan
        features, exp_keys, alphas, *rest = ctx.saved_tensors
        weights, cell_params = _step_weights(rest, exp_keys), rest[NUM_WEIGHTS + plan.num_state_tensors :]
        with torch.autocast(features.device.type, enabled=False):
            backward_pass = _BackwardPass(plan, ctx.saved, features, exp_keys, alphas, weights, cell_params)
            ctx.saved = None
            backward_pass.run(grad_h, grad_contexts, grad_alphas)
            rows_by_image = plan.rows_by_image(features.device)
            grad_keys, grad_energy = backward_pass.grad_keys(rows_by_image)
            return (
                None,
                backward_pass.grad_features(rows_by_image) if ctx.needs_input_grad[1] else None,
                grad_keys,
                None,
                backward_pass.grad_embeddings(),
                *backward_pass.grad_weights(grad_energy),
                *backward_pass.grad_state,
                *backward_pass.grad_cell_params,
            )


def _step_weights(rest: Sequence[Tensor], exp_keys: Tensor) -> StepWeights:
    """The weights among the tensors that the loop is applied to; that of the energies in the precision of the keys."""
    weights = StepWeights(*rest[:NUM_WEIGHTS])
    return weights._replace(energy=weights.energy.to(exp_keys.dtype))


class _ForwardPass:
    """All time steps forward; fills `saved` and `alphas`."""

    def __init__(self, plan: UnrollPlan, features: Tensor, exp_keys: Tensor, embeddings: Tensor, weights: StepWeights) -> None:
        self.plan, self.features, self.exp_keys, self.weights = plan, features, exp_keys, weights
        self.recurrent, self.recurrent_sizes = PackedLinear(weights.recurrent_weight(), dtype=plan.product_dtype), weights.recurrent_sizes()
        (rows, embedding_size), empty = embeddings.shape, exp_keys.new_empty
        embedding_weight, context_weight = (
            weight.to(plan.product_dtype).contiguous() for weight in weights.input.tensor_split([embedding_size], 1)
        )
        self.context_share = PackedLinear(context_weight)
        columns = len(weights.input) + sum(self.recurrent_sizes[1:])
        inputs = empty(rows, embedding_size + features.shape[2], dtype=plan.product_dtype)
        inputs[:, :embedding_size] = embeddings
        self.saved = SavedActivations(
            embedding_weight, context_weight, [], inputs, empty(rows, columns), empty(rows, exp_keys.shape[2]), []
        )
        self.contexts = inputs[:, embedding_size:]
        self.preactivations = self.saved.preactivations[:, : len(weights.input)]
        bias = None if weights.bias is None else weights.bias.to(plan.product_dtype)
        self.preactivations.copy_(multiply(inputs[:, :embedding_size], embedding_weight, bias))
        self.alphas = empty(rows, features.shape[1])

    def run(self, state: State) -> Tensor:
        """h of all time steps, (M,H), from the first state."""
        h = []
        state = tuple(entry.to(self.alphas.dtype) if entry.is_floating_point() else entry for entry in state)
        for step in self.plan.steps:
            state = tuple(keep_active_rows(entry, step.previous, step.shape) for entry in state)
            self.saved.states.append(state)
            images, rows = slice(step.shape[0]), step.rows
            outputs = self.saved.exp_queries[rows].unflatten(0, step.shape), self.alphas[rows], self.contexts[rows]
            gate, state = self._step(state, self.exp_keys[images], self.features[images], self.preactivations[rows], *outputs)
            if gate is not None:
                self.saved.gates.append(gate)
            h.append(state[0])
        return torch.cat(h)

    @compiled_in_graphs
    def _step(
        self,
        state: State,
        exp_keys: Tensor,
        features: Tensor,
        preactivations: Tensor,
        exp_queries: Tensor,
        alphas: Tensor,
        contexts: Tensor,
    ) -> tuple[Tensor | None, State]:
        """One time step: the gate and the new state; writes the tensors of its arguments' last four, and adds to the pre-activations."""
        weights, gate = self.weights, None
        from_h, query, beta, _ = self.recurrent(state[0]).split(self.recurrent_sizes, -1)
        exp_queries.copy_(exp_2x(query).unflatten(0, exp_queries.shape[:2]))
        alpha, context = self.plan.kernels.attend(exp_keys, exp_queries, -2 * weights.energy, features)
        alphas.copy_(alpha.flatten(0, 1))
        context = context.flatten(0, 1)
        if weights.beta_bias is not None:
            gate = torch.sigmoid(beta + weights.beta_bias)
            context *= gate
        contexts.copy_(context)
        preactivations += self.context_share(contexts)
        if weights.hidden is not None:
            preactivations += from_h
        return gate, self.plan.update(preactivations, state)


class _StepViews(NamedTuple):
    """What one time step saved, and where its gradients go; n images with g active rows each.

    features, exp_keys: of the images, (n,L,D) and (n,L,A)
    exp_queries, alphas: (n,g,A) and (n,g,L)
    gated_context: (n*g,D)
    gate: (n*g, 1 or D); None: there is none
    grads: of pre-activations, query and gate, then zeros, (n*g,P)
    grad_energies: (n,g,L)
    grad_ungated: see `_BackwardPass`, (n*g,D); None: the features need no gradient
    """

    features: Tensor
    exp_keys: Tensor
    exp_queries: Tensor
    alphas: Tensor
    gated_context: Tensor
    gate: Tensor | None
    grads: Tensor
    grad_energies: Tensor
    grad_ungated: Tensor | None


class _BackwardPass:
    """All time steps backward, then the gradients that all of them share.

    grad_state: of the state before the time step that was processed last
    grad_cell_params: of the parameters that `update` uses, over the time steps so far
    grad_energies: (M,L)
    grad_ungated: of the contexts before the gate, (M,D)
    """

    def __init__(
        self,
        plan: UnrollPlan,
        saved: SavedActivations,
        features: Tensor,
        exp_keys: Tensor,
        alphas: Tensor,
        weights: StepWeights,
        cell_params: Sequence[Tensor],
    ) -> None:
        self.plan, self.saved, self.features, self.exp_keys, self.alphas = plan, saved, features, exp_keys, alphas
        self.weights, self.cell_params = weights, cell_params
        self.num_preactivations, rows, empty = len(weights.input), len(saved.inputs), exp_keys.new_empty
        self.grad_state: list[Tensor | None] = [None] * plan.num_state_tensors
        self.grad_cell_params: list[Tensor | None] = [None] * len(cell_params)
        self.grad_energies = empty(rows, features.shape[1])
        self.grad_ungated = empty(rows, features.shape[2], dtype=plan.product_dtype) if features.requires_grad else None

    def run(self, grad_h: Tensor, grad_contexts: Tensor, grad_alphas: Tensor) -> None:
        """All time steps from the last to the first, from the gradients of what the loop returned."""
        recurrent_weight = self.weights.recurrent_weight().to(self.plan.product_dtype)
        for index, step in reversed(list(enumerate(self.plan.steps))):
            rows = step.rows
            grad_preactivations = self._backward_cell(index, step, grad_h[rows])
            views = self._views(index, step)
            grad_previous_h = self._backward_step(views, grad_preactivations, grad_contexts[rows], grad_alphas[rows], recurrent_weight)
            self.grad_state[0] = _add(self.grad_state[0], grad_previous_h)
            self.grad_state = [None if grad is None else pad_inactive_rows(grad, step.previous, step.shape) for grad in self.grad_state]

    def _product(self, x: Tensor, weight: Tensor) -> Tensor:
        """x weight^T in the precision of products, returned in that of x."""
        return multiply(x.to(self.plan.product_dtype), weight).to(x.dtype)

    def _backward_cell(self, index: int, step: TimeStep, grad_h: Tensor) -> Tensor:
        """The gradient of the pre-activations; updates that of the state, now before this step, and of the cell's parameters."""
        self.grad_state[0] = _add(self.grad_state[0], grad_h)
        inputs = (self.saved.preactivations[step.rows, : self.num_preactivations], *self.saved.states[index])
        leaves = [entry.detach().requires_grad_(entry.is_floating_point()) for entry in inputs]
        with torch.enable_grad():
            state = _update(self.plan.update, leaves[0], tuple(leaves[1:]))
        pairs = zip(state, self.grad_state, strict=True)
        outputs_with_grad = [(entry, grad) for entry, grad in pairs if grad is not None and entry.requires_grad]
        differentiable = [entry for entry in (*leaves, *self.cell_params) if entry.requires_grad]
        outputs, grads = zip(*outputs_with_grad, strict=True)
        grad_of = dict(zip(map(id, differentiable), torch.autograd.grad(outputs, differentiable, grads, allow_unused=True), strict=True))
        grad_preactivations, *self.grad_state = (grad_of.get(id(leaf)) for leaf in leaves)
        grad_params = [grad_of.get(id(parameter)) for parameter in self.cell_params]
        self.grad_cell_params = [_add(*pair) for pair in zip(self.grad_cell_params, grad_params, strict=True)]
        assert grad_preactivations is not None, "the cell does not use its pre-activations"
        return grad_preactivations

    def _views(self, index: int, step: TimeStep) -> _StepViews:
        """The tensors of a time step."""
        images, rows, shape = slice(step.shape[0]), step.rows, step.shape
        return _StepViews(
            self.features[images],
            self.exp_keys[images],
            self.saved.exp_queries[rows].unflatten(0, shape),
            self.alphas[rows].unflatten(0, shape),
            self.saved.inputs[rows, -self.features.shape[2] :],
            self.saved.gates[index] if self.saved.gates else None,
            self.saved.preactivations[rows],
            self.grad_energies[rows].unflatten(0, shape),
            None if self.grad_ungated is None else self.grad_ungated[rows],
        )

    @compiled_in_graphs
    def _backward_step(
        self, views: _StepViews, grad_preactivations: Tensor, grad_context: Tensor, grad_alphas: Tensor, recurrent_weight: Tensor
    ) -> Tensor:
        """The gradient of h before a time step, through all but the cell; writes the gradients that `_StepViews` names."""
        grad_context = self._product(grad_preactivations, self.saved.context_weight.t()) + grad_context
        grad_alphas_of_context, grad_gate = self._backward_context(views, grad_context)
        grad_query = self._backward_query(views, grad_alphas_of_context + grad_alphas.unflatten(0, views.alphas.shape[:2]))
        grads = torch.cat([grad_preactivations, grad_query, *grad_gate], -1)
        views.grads.copy_(F.pad(grads, (0, views.grads.shape[1] - grads.shape[1])))
        from_h = views.grads if self.weights.hidden is not None else views.grads[:, self.num_preactivations :]
        return self._product(from_h, recurrent_weight.t())

    def _backward_context(self, views: _StepViews, grad_context: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The gradients of alpha, and of the gate before its sigmoid if there is a gate."""
        grad_ungated, grad_gate, gate = grad_context, [], views.gate
        if gate is not None:
            # The saved context is gated: with b = sigmoid(x), d(b z)/dx = (1 - b) b z.
            product = views.gated_context * grad_context
            grad_gate = [(1 - gate) * (product if gate.shape[1] > 1 else product.sum(-1, keepdim=True))]
            grad_ungated = gate * grad_context
        if views.grad_ungated is not None:
            views.grad_ungated.copy_(grad_ungated)
        grad_rows = grad_ungated.to(views.features.dtype).unflatten(0, views.alphas.shape[:2])
        return torch.bmm(grad_rows, views.features.transpose(1, 2)).to(views.alphas.dtype), grad_gate

    def _backward_query(self, views: _StepViews, grad_alphas: Tensor) -> Tensor:
        """The gradient of the query, through softmax and tanh; stores that of the energies."""
        alpha = views.alphas
        grad_energies = alpha * (grad_alphas - (alpha * grad_alphas).sum(-1, keepdim=True))
        views.grad_energies.copy_(grad_energies)
        summed = self.plan.kernels.grad_queries(views.exp_keys, views.exp_queries, grad_energies)
        return 4 * self.weights.energy * summed.flatten(0, 1)

    def grad_embeddings(self) -> Tensor:
        """The gradient of the embeddings, (M,E)."""
        return self._product(self.saved.preactivations[:, : self.num_preactivations], self.saved.embedding_weight.t())

    def grad_weights(self, grad_energy: Tensor) -> StepWeights:
        """The gradients of the weights, each one product over all time steps."""
        weights, split, dtype = self.weights, self.num_preactivations, self.plan.product_dtype
        # In the memory order that `weight_grad` needs, copied once for both products.
        operands = self.saved.preactivations.to(dtype).t().contiguous().t()
        if dtype == self.saved.preactivations.dtype:
            self.saved.preactivations = operands  # frees the other copy
        grads = self.saved.preactivations
        states = torch.cat([state[0] for state in self.saved.states]).to(dtype)
        recurrent = weight_grad(operands if weights.hidden is not None else operands[:, split:], states)
        grad_hidden, grad_query, grad_beta, _ = recurrent.split(weights.recurrent_sizes())
        gate_start = split + len(weights.query)
        return StepWeights(
            energy=grad_energy,
            query=grad_query,
            beta=None if weights.beta is None else grad_beta,
            beta_bias=None if weights.beta is None else grads[:, gate_start : gate_start + len(weights.beta)].sum(0),
            input=weight_grad(operands[:, :split], self.saved.inputs),
            bias=None if weights.bias is None else grads[:, :split].sum(0),
            hidden=None if weights.hidden is None else grad_hidden,
        )

    def grad_keys(self, rows_by_image: Sequence[tuple[slice, Tensor]]) -> tuple[Tensor, Tensor]:
        """The gradients of the keys, (N,L,A), and of w, (A,)."""
        grad_keys, grad_energy = torch.zeros_like(self.exp_keys), torch.zeros_like(self.weights.energy)
        for images, rows in rows_by_image:
            if rows.numel():
                first, second = self.plan.kernels.grad_keys(self.exp_keys[images], self.saved.exp_queries[rows], self.grad_energies[rows])
                grad_energy += first.sum((0, 1))
                torch.sub(first, second, out=grad_keys[images])
        return grad_keys.mul_(4 * self.weights.energy), -2 * grad_energy

    def grad_features(self, rows_by_image: Sequence[tuple[slice, Tensor]]) -> Tensor:
        """The gradient of the features through the contexts, (N,L,D)."""
        assert self.grad_ungated is not None
        alphas = self.alphas.to(self.grad_ungated.dtype)
        return torch.cat([alphas[rows].transpose(1, 2) @ self.grad_ungated[rows] for _, rows in rows_by_image])


@compiled_in_graphs
def _update(update: Callable[[Tensor, State], State], preactivations: Tensor, state: State) -> State:
    """One step of the cell."""
    return update(preactivations, state)


def _add(grad: Tensor | None, other: Tensor | None) -> Tensor | None:
    """The sum of two gradients; None is zero."""
    if grad is None or other is None:
        return other if grad is None else grad
    return grad + other
