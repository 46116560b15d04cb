"""From features to words: attention feeds a recurrent cell, and its state speaks (Xu et al. 2015, section 3.1.2).

Rows are grouped by photo: N photos with G rows each, the captions of a photo in training, the beams in search. What
belongs to a photo is made once and never repeated; states are flat, (N*G, ...).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from showattend.attention import Look, Memory, Query, make_attention
from showattend.attention.additive import SoftAttention
from showattend.attention.base import Sizes
from showattend.cells import State, make_cell
from showattend.models.config import DecoderConfig
from showattend.ops.decoder_loop import Unrolled
from showattend.ops.linear import product
from showattend.ops.unroll_plan import Block, Loop, Weights, shrink
from showattend.vocabulary import PAD


def _blocks(mask: Tensor) -> list[Block]:
    """For each place in time the smallest block, photos by rows, that holds all later words too, (T,N,G); at least 1 by 1."""

    def last(present: Tensor) -> list[int]:
        numbers = torch.arange(1, present.shape[1] + 1, device=mask.device)
        return (present * numbers).amax(1).flip(0).cummax(0).values.flip(0).clamp(min=1).tolist()

    return list(zip(last(mask.any(2)), last(mask.any(1)), strict=True))


class Spoken(NamedTuple):
    """What teacher forcing gives of M words, those that are no padding or, if asked for, all, in N photos' G captions of T words.

    hidden: what the words are spoken from, in the order of `losses.pack`, (M,E)
    output: makes logits of it
    alphas: where the decoder looked for them, zero at padding, (N,G,T,L)
    choices: log-probabilities of the locations that hard attention drew, zero at padding and where it drew none, (N,G,T);
        None: the attention draws none
    """

    hidden: Tensor
    output: nn.Linear
    alphas: Tensor
    choices: Tensor | None

    @property
    def logits(self) -> Tensor:
        """Of the words, (M,V); made again each time, for `cross_entropy.caption_loss` does without."""
        return product(self.hidden, self.output.weight, self.output.bias)


class Decoder(nn.Module):
    """Says a caption word by word; `step` is the one place that knows how a word is made.

    `forward` goes the same way for whole captions: what needs no state (embeddings) comes before the loop over words, what
    changes no state (logits) after it, and the loop is `_advance`, which `step` calls too.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        feature_size = config.feature_size or config.annotation_size
        hidden_size = config.hidden_size
        self.feature = nn.Sequential(nn.Linear(config.annotation_size, feature_size), nn.ReLU()) if config.feature_size else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.embedding = nn.Embedding(config.vocabulary_size, config.embedding_size)
        sizes = Sizes(feature_size, hidden_size, config.embedding_size, config.attention_size)
        self.attention = make_attention(config.attention, sizes, config.attention_options)
        self.cell = make_cell(
            config.cell,
            (config.embedding_size, feature_size),
            hidden_size,
            layers=config.layers,
            dropout=config.dropout,
            options=config.cell_options,
        )
        # The second entry of a state is the cell's memory where it has one: c of an LSTM, of the top layer in a stack.
        self.remembers = [name.rstrip("0123456789") for name in self.cell.state_names[1:2]] == ["c"]
        hidden = [m for _ in range(config.initial_layers - 1) for m in (nn.Linear(feature_size, feature_size), nn.ReLU(), self.dropout)]
        self.before_initial = nn.Sequential(*hidden)
        self.initial = nn.Linear(feature_size, 2 * self.cell.initial_size)
        channels = {"scalar": 1, "vector": feature_size, "none": 0}[config.gate]
        self.beta = nn.Linear(hidden_size, channels) if channels else None
        if config.deep_output:
            self.deep_h = nn.Linear(hidden_size, config.embedding_size)
            self.deep_z = nn.Linear(feature_size, config.embedding_size, bias=False)
        self.output = nn.Linear(config.embedding_size if config.deep_output else hidden_size, config.vocabulary_size)
        self.embedding_dropout = nn.Dropout(config.dropout if config.embedding_dropout is None else config.embedding_dropout)
        self.feature_dropout = nn.Dropout1d(config.feature_dropout)
        self.fast = True  # false: the plain way, word by word
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Small embeddings and no preference for any word; the cell sets its own weights.

        `xu2015`, after the authors' code: square matrices orthogonal, all others and the embeddings N(0, 0.01), biases 0.
        """
        nn.init.normal_(self.embedding.weight, std=0.1)
        nn.init.zeros_(self.output.bias)
        if self.config.initialisation == "xu2015":
            nn.init.normal_(self.embedding.weight, std=0.01)
            for layer in (module for module in self.modules() if isinstance(module, nn.Linear)):
                square = layer.in_features == layer.out_features
                nn.init.orthogonal_(layer.weight) if square else nn.init.normal_(layer.weight, std=0.01)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def begin(self, annotations: Tensor) -> tuple[Memory, State]:
        """What is done once per photo.

        Args:
            annotations: the encoder's grid, (N,L,annotation_size)

        Returns:
            memory: what the attention keeps of the photos
            state: h_0 and c_0 = tanh of one layer, or more, over the mean feature (Xu et al. 2015, section 3.1.2), (N, ...)
        """
        features, state = self.first(annotations)
        return self.attention.remember(features), state

    def first(self, annotations: Tensor) -> tuple[Tensor, State]:
        """Features (N,L,D) and the state before the first word, see `begin`."""
        features = self.feature(self.feature_dropout(annotations.transpose(1, 2)).transpose(1, 2))
        h, c = torch.tanh(self.initial(self.before_initial(features.mean(1)))).chunk(2, -1)
        return features, self.cell.initial_state(h, c)

    def step(self, words: Tensor, state: State, memory: Memory) -> tuple[Tensor, State, Tensor]:
        """Hear the last word, look, and weigh the next one.

        Args:
            words: the last word of each row, (N*G,)
            state: the cell's state, each tensor (N*G, ...)
            memory: what `begin` made of the N photos

        Returns:
            logits: of the next word, (N*G,V)
            state: the new state
            alpha: where the decoder looked, (N*G,L)
        """
        embedded = self.embedding_dropout(self.embedding(words))
        state, look = self._advance(embedded, self.cell.project(embedded, 0), state, memory)
        hidden = self._deepen(embedded, state[0], look.context)
        return product(hidden, self.output.weight, self.output.bias), state, look.alpha

    def forward(self, annotations: Tensor, words: Tensor, *, whole: bool = False) -> Spoken:
        """Teacher forcing: every word of every caption from the words before it.

        The loop drops captions that have ended as far as what is left still is a block of photos by rows: put the photos
        with long captions first, and the long captions of a photo first, and little is computed for padding.

        Args:
            annotations: the encoder's grid, (N,L,annotation_size)
            words: captions from `<start>` on, without their last word, then `<pad>`, (N,G,T)
            whole: speak at padding too, `hidden` with it, so that what is done depends on the sizes alone, as a CUDA graph asks for
        """
        memory, state = self.begin(annotations)
        state = tuple(entry.repeat_interleave(words.shape[1], 0) for entry in state)
        time_first = words.movedim(-1, 0)
        numbers = torch.arange(words.numel(), device=words.device).view(time_first.shape)
        blocks = [(words.shape[0], words.shape[1])] * words.shape[2] if whole else _blocks(time_first != PAD)
        # Where each row of each block lies in (T,N,G): all words are heard at once, and none outside the blocks.
        place = torch.cat([numbers[t, :n, :g].flatten() for t, (n, g) in enumerate(blocks)])
        heard = time_first.flatten()[place]
        embedded = self.embedding_dropout(self.embedding(heard))
        loop = self._unroll if self.can_unroll() else self._repeat
        h, contexts, alphas, choices = loop(embedded, blocks, state, memory)
        hidden, there = self._deepen(embedded, h, contexts), heard != PAD

        def spread(entries: Tensor) -> Tensor:
            """What belongs to words, (M, ...), where the words lie: (N,G,T, ...)."""
            known = entries.masked_fill(~there.view(-1, *[1] * (entries.dim() - 1)), 0.0)
            spacious = entries.new_zeros(words.numel(), *entries.shape[1:]).index_copy(0, place, known)
            return spacious.view(*time_first.shape, *entries.shape[1:]).movedim(0, 2)

        return Spoken(hidden if whole else hidden[there], self.output, spread(alphas), None if choices is None else spread(choices))

    def _repeat(self, embedded: Tensor, blocks: list[Block], state: State, memory: Memory) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """h, gated contexts, alphas and choices of the words in all blocks, (M, ...): one `_advance` after the other."""
        h: list[Tensor] = []
        looks: list[Look] = []
        # Split once: indexing in the loop would make every step's gradient as large as the whole.
        sizes = [n * g for n, g in blocks]
        before = len(memory[0]), len(state[0]) // len(memory[0])
        for word, gates, block in zip(embedded.split(sizes), self.cell.project(embedded, 0).split(sizes), blocks, strict=True):
            memory = tuple(entry[: block[0]] for entry in memory)
            state = tuple(shrink(entry, before, block) for entry in state)
            state, look = self._advance(word, gates, state, memory)
            h.append(state[0])
            looks.append(look)
            before = block
        contexts, alphas, choices = zip(*looks, strict=True)
        return torch.cat(h), torch.cat(contexts), torch.cat(alphas), None if choices[0] is None else torch.cat(choices)

    def can_unroll(self) -> bool:
        """Whether it has the fast ways, `Unrolled` and `Speaker`: with soft attention, a cell that can, and one precision throughout."""
        weight = self.output.weight
        return (
            self.fast
            and type(self.attention) is SoftAttention
            and self.cell.can_unroll
            and not torch.is_autocast_enabled(weight.device.type)
        )

    def _unroll(self, embedded: Tensor, blocks: list[Block], state: State, memory: Memory) -> tuple[Tensor, Tensor, Tensor, None]:
        """As `_repeat`, with a way back of its own: see `Unrolled`."""
        weights = self.weights()
        assert isinstance(self.attention, SoftAttention)
        loop = Loop(self.cell.recurrence()[0], self.attention.kernels, len(state), len(memory[0]), len(state[0]) // len(memory[0]), blocks)
        held = [parameter for parameter in self.cell.parameters() if all(parameter is not other for other in weights)]
        h, contexts, alphas = Unrolled.apply(loop, *memory, embedded, *weights, *state, *held)
        return h, contexts, alphas, None

    def weights(self) -> Weights:
        """What the fast ways make a word with; only with soft attention."""
        assert isinstance(self.attention, SoftAttention)
        matrix, bias = self.cell.projection()
        return Weights(
            energy=self.attention.energy.weight[0],
            query=self.attention.query.weight,
            beta=None if self.beta is None else self.beta.weight,
            beta_bias=None if self.beta is None else self.beta.bias,
            input=matrix,
            bias=bias,
            hidden=self.cell.recurrence()[1],
        )

    def _advance(self, embedded: Tensor, projected: Tensor, state: State, memory: Memory) -> tuple[State, Look]:
        """Look with h_{t-1}, then move the cell: new state, and the look with its rows flat and its context gated."""
        h, c = state[0], state[1] if self.remembers else state[0]
        context, alpha, choice = self.attention(memory, Query(*(entry.unflatten(0, (len(memory[0]), -1)) for entry in (h, c, embedded))))
        context = context.flatten(0, 1)
        if self.beta is not None:
            context = torch.sigmoid(self.beta(h)) * context
        state = self.cell.step(projected + self.cell.project(context, 1), state)
        return state, Look(context, alpha.flatten(0, 1), None if choice is None else choice.flatten())

    def _deepen(self, embedded: Tensor, h: Tensor, context: Tensor) -> Tensor:
        """What `output` makes logits of: tanh(E y + L_h h + L_z z) (Xu et al. 2015, eq. 7, with the tanh of the authors' code), or h."""
        h = self.dropout(h)
        if self.config.deep_output:
            deep = product(h, self.deep_h.weight, self.deep_h.bias) + product(context, self.deep_z.weight)
            h = self.dropout(torch.tanh(embedded + deep))
        return h
