"""A decoder that only speaks: one step of it with all weights laid out for many words, without gradients or dropout.

What multiplies h (gates, query, beta, deep output) is one product, and so is what multiplies the context; what h was multiplied by is kept
in the state for the next word. The words' own share is looked up in a table as soon as making it has paid.
"""

import torch
from torch import Tensor

from showattend.cells import State
from showattend.models.attention.additive import SoftAttention
from showattend.models.attention.base import Memory
from showattend.models.attention.energy import exponentials
from showattend.models.decoder import Decoder
from showattend.products import Packed


class Speaker:
    """The step of a decoder with soft attention, see `Decoder.step`; it must be one that `can_unroll`, and not change afterwards.

    Args:
        int8: weights, and what they multiply, in 8 bits
    """

    def __init__(self, decoder: Decoder, *, int8: bool = False) -> None:
        attention, deep = decoder.attention, decoder.config.deep_output
        assert isinstance(attention, SoftAttention)
        # What is made of the annotations themselves is limited by memory, not by products: 16 bits are enough, and 8 no faster.
        self.mixing = torch.bfloat16 if int8 else attention.key.weight.dtype
        self.key, self.deeper = Packed(attention.key.weight.to(self.mixing), attention.key.bias.to(self.mixing)), attention.deeper
        weights = decoder.weights()
        self.move, _ = decoder.cell.recurrence()
        self.kernels, self.energy = attention.kernels, -2 * weights.energy.detach()
        self.beta_bias = None if weights.beta_bias is None else weights.beta_bias.detach()
        of_h = [weights.hidden, weights.query, weights.beta, decoder.deep_h.weight if deep else None]
        self.heard = [0 if weight is None else len(weight) for weight in of_h]
        self.hear = Packed(torch.cat([weight for weight in of_h if weight is not None]), int8=int8)
        of_context = [decoder.cell.matrix(1), *([decoder.deep_z.weight] if deep else [])]
        self.placed = [len(weight) for weight in of_context]
        self.place = Packed(torch.cat(of_context), int8=int8)
        self.output = Packed(decoder.output.weight, decoder.output.bias, int8=int8)
        # What the deep output adds to h's and the context's share.
        self.deep = decoder.embedding.weight.detach() + decoder.deep_h.bias.detach() if deep else None
        self.words = _Words(decoder)

    def begin(self, features: Tensor, state: State) -> tuple[Memory, State]:
        """What `step` needs of the photos: features (N,L,D) and exp(2 W_a a_i) (N,L,A); and the state with all that h is multiplied by."""
        features = features.to(self.mixing)
        keys = self.deeper(self.key(features.flatten(0, 1)).view(*features.shape[:2], -1).to(state[0].dtype))
        return (features, exponentials(keys)), (*state, self.hear(state[0]))

    def step(self, words: Tensor, state: State, memory: Memory) -> tuple[Tensor, State, Tensor]:
        """Hear the last word, look, and weigh the next one: as `Decoder.step`, but with a state that `begin` has made."""
        features, raised = memory
        gates, query, beta, _ = state[-1].split(self.heard, -1)
        alpha = self.kernels.weigh(raised, exponentials(query).unflatten(0, (len(features), -1)), self.energy).softmax(-1)
        context = torch.bmm(alpha.to(self.mixing), features).flatten(0, 1).to(alpha.dtype)
        if self.beta_bias is not None:
            context *= torch.sigmoid(beta + self.beta_bias)
        activations, *deep_z = self.place(context).split(self.placed, -1)
        activations = activations + self.words(words)
        if self.heard[0]:
            activations += gates
        after = self.move(activations, state[:-1])
        heard = self.hear(after[0])
        spoken = after[0] if self.deep is None else torch.tanh(self.deep[words] + heard[:, -self.heard[3] :] + deep_z[0])
        return self.output(spoken), (*after, heard), alpha.flatten(0, 1)


class _Words:
    """The words' share of the activations, W E y + b: made word by word until that has cost as much as a table of all words."""

    def __init__(self, decoder: Decoder) -> None:
        self.project, self.embedding = decoder.cell.project, decoder.embedding.weight
        self.said = 0
        self.table: Tensor | None = None

    def __call__(self, words: Tensor) -> Tensor:
        if self.table is None:
            self.said += len(words)
            if self.said < len(self.embedding):
                return self.project(self.embedding[words], 0)
            self.table = self.project(self.embedding, 0)
        return self.table[words]
