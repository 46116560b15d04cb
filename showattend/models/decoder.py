"""From features to words: attention feeds a recurrent cell, and its state speaks (Xu et al. 2015, section 3.1.2).

Rows are grouped by photo: N photos with G rows each, the captions of a photo in training, the beams in search. What
belongs to a photo is made once and never repeated; states are flat, (N*G, ...).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from showattend.attention import AttentionCache, AttentionOutput, DecoderContext, make_attention
from showattend.attention.additive import SoftAttention
from showattend.attention.base import Sizes
from showattend.cells import State, make_cell
from showattend.models.config import DecoderConfig
from showattend.ops.decoder_loop import FusedDecoderLoop
from showattend.ops.linear import linear
from showattend.ops.unroll_plan import BatchShape, StepWeights, UnrollPlan, keep_active_rows
from showattend.vocabulary import PAD


def _active_batch_shapes(mask: Tensor) -> list[BatchShape]:
    """For each place in time the smallest block, photos by rows, that holds all later words too, (T,N,G); at least 1 by 1."""

    def last(present: Tensor) -> list[int]:
        numbers = torch.arange(1, present.shape[1] + 1, device=mask.device)
        return (present * numbers).amax(1).flip(0).cummax(0).values.flip(0).clamp(min=1).tolist()

    return list(zip(last(mask.any(2)), last(mask.any(1)), strict=True))


class DecoderOutput(NamedTuple):
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
    sampled_log_probs: Tensor | None

    @property
    def logits(self) -> Tensor:
        """Of the words, (M,V); made again each time, for `cross_entropy.caption_loss` does without."""
        return linear(self.hidden, self.output.weight, self.output.bias)


class Decoder(nn.Module):
    """Says a caption word by word; `step` is the one place that knows how a word is made.

    `forward` goes the same way for whole captions: what needs no state (embeddings) comes before the loop over words, what
    changes no state (logits) after it, and the loop is `_advance`, which `step` calls too.
    """

    def __init__(self, config: DecoderConfig, *, vocabulary_size: int, encoder_dim: int) -> None:
        super().__init__()
        self.config = config
        projection_dim = config.projection_dim or encoder_dim
        hidden_size = config.hidden_size
        self.feature = nn.Sequential(nn.Linear(encoder_dim, projection_dim), nn.ReLU()) if config.projection_dim else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.embedding = nn.Embedding(vocabulary_size, config.embedding_size)
        sizes = Sizes(projection_dim, hidden_size, config.embedding_size, config.attention_size)
        self.attention = make_attention(config.attention, sizes, config.attention_options)
        self.cell = make_cell(
            config.cell,
            (config.embedding_size, projection_dim),
            hidden_size,
            layers=config.layers,
            dropout=config.dropout,
            options=config.cell_options,
        )
        # The second entry of a state is the cell's memory where it has one: c of an LSTM, of the top layer in a stack.
        self.has_cell_state = [name.rstrip("0123456789") for name in self.cell.state_names[1:2]] == ["c"]
        hidden = [m for _ in range(config.init_layers - 1) for m in (nn.Linear(projection_dim, projection_dim), nn.ReLU(), self.dropout)]
        self.init_mlp = nn.Sequential(*hidden)
        self.init_proj = nn.Linear(projection_dim, 2 * self.cell.initial_size)
        channels = {"scalar": 1, "vector": projection_dim, "none": 0}[config.gate]
        self.beta = nn.Linear(hidden_size, channels) if channels else None
        if config.deep_output:
            self.output_proj_h = nn.Linear(hidden_size, config.embedding_size)
            self.output_proj_context = nn.Linear(projection_dim, config.embedding_size, bias=False)
        self.output = nn.Linear(config.embedding_size if config.deep_output else hidden_size, vocabulary_size)
        self.embedding_dropout = nn.Dropout(config.dropout if config.embedding_dropout is None else config.embedding_dropout)
        self.feature_dropout = nn.Dropout1d(config.feature_dropout)
        self.use_fused_loop = True  # false: the plain way, word by word
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

    def init_state(self, encoder_features: Tensor) -> tuple[AttentionCache, State]:
        """What is done once per photo.

        Args:
            annotations: the encoder's grid, (N,L,encoder_dim)

        Returns:
            memory: what the attention keeps of the photos
            state: h_0 and c_0 = tanh of one layer, or more, over the mean feature (Xu et al. 2015, section 3.1.2), (N, ...)
        """
        features, state = self.project_features_and_init_state(encoder_features)
        return self.attention.precompute(features), state

    def project_features_and_init_state(self, encoder_features: Tensor) -> tuple[Tensor, State]:
        """Features (N,L,D) and the state before the first word, see `begin`."""
        features = self.feature(self.feature_dropout(encoder_features.transpose(1, 2)).transpose(1, 2))
        h, c = torch.tanh(self.init_proj(self.init_mlp(features.mean(1)))).chunk(2, -1)
        return features, self.cell.initial_state(h, c)

    def step(self, words: Tensor, state: State, memory: AttentionCache) -> tuple[Tensor, State, Tensor]:
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
        state, look = self._attend_and_step(embedded, self.cell.project(embedded, 0), state, memory)
        hidden = self._deep_output(embedded, state[0], look.context)
        return linear(hidden, self.output.weight, self.output.bias), state, look.alpha

    def forward(self, encoder_features: Tensor, words: Tensor, *, static_shapes: bool = False) -> DecoderOutput:
        """Teacher forcing: every word of every caption from the words before it.

        The loop drops captions that have ended as far as what is left still is a block of photos by rows: put the photos
        with long captions first, and the long captions of a photo first, and little is computed for padding.

        Args:
            annotations: the encoder's grid, (N,L,encoder_dim)
            words: captions from `<start>` on, without their last word, then `<pad>`, (N,G,T)
            whole: speak at padding too, `hidden` with it, so that what is done depends on the sizes alone, as a CUDA graph asks for
        """
        memory, state = self.init_state(encoder_features)
        state = tuple(entry.repeat_interleave(words.shape[1], 0) for entry in state)
        time_first = words.movedim(-1, 0)
        numbers = torch.arange(words.numel(), device=words.device).view(time_first.shape)
        blocks = [(words.shape[0], words.shape[1])] * words.shape[2] if static_shapes else _active_batch_shapes(time_first != PAD)
        # Where each row of each block lies in (T,N,G): all words are heard at once, and none outside the blocks.
        place = torch.cat([numbers[t, :n, :g].flatten() for t, (n, g) in enumerate(blocks)])
        heard = time_first.flatten()[place]
        embedded = self.embedding_dropout(self.embedding(heard))
        loop = self._loop_fused if self.supports_fused_loop() else self._loop_autograd
        h, contexts, alphas, sampled_log_probs = loop(embedded, blocks, state, memory)
        hidden, there = self._deep_output(embedded, h, contexts), heard != PAD

        def spread(entries: Tensor) -> Tensor:
            """What belongs to words, (M, ...), where the words lie: (N,G,T, ...)."""
            known = entries.masked_fill(~there.view(-1, *[1] * (entries.dim() - 1)), 0.0)
            spacious = entries.new_zeros(words.numel(), *entries.shape[1:]).index_copy(0, place, known)
            return spacious.view(*time_first.shape, *entries.shape[1:]).movedim(0, 2)

        return DecoderOutput(
            hidden if static_shapes else hidden[there],
            self.output,
            spread(alphas),
            None if sampled_log_probs is None else spread(sampled_log_probs),
        )

    def _loop_autograd(
        self, embedded: Tensor, blocks: list[BatchShape], state: State, memory: AttentionCache
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """h, gated contexts, alphas and choices of the words in all blocks, (M, ...): one `_advance` after the other."""
        h: list[Tensor] = []
        looks: list[AttentionOutput] = []
        # Split once: indexing in the loop would make every step's gradient as large as the whole.
        sizes = [n * g for n, g in blocks]
        before = len(memory[0]), len(state[0]) // len(memory[0])
        for word, gates, block in zip(embedded.split(sizes), self.cell.project(embedded, 0).split(sizes), blocks, strict=True):
            memory = tuple(entry[: block[0]] for entry in memory)
            state = tuple(keep_active_rows(entry, before, block) for entry in state)
            state, look = self._attend_and_step(word, gates, state, memory)
            h.append(state[0])
            looks.append(look)
            before = block
        contexts, alphas, sampled_log_probs = zip(*looks, strict=True)
        return torch.cat(h), torch.cat(contexts), torch.cat(alphas), None if sampled_log_probs[0] is None else torch.cat(sampled_log_probs)

    def supports_fused_loop(self) -> bool:
        """Whether `FusedDecoderLoop` and `InferenceDecoder` can run it: soft attention, a cell that supports it, one dtype."""
        weight = self.output.weight
        return (
            self.use_fused_loop
            and type(self.attention) is SoftAttention
            and self.cell.supports_fused_loop
            and not torch.is_autocast_enabled(weight.device.type)
        )

    def _loop_fused(
        self, embedded: Tensor, blocks: list[BatchShape], state: State, memory: AttentionCache
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        """As `_repeat`, with a way back of its own: see `FusedDecoderLoop`."""
        weights = self.weights()
        assert isinstance(self.attention, SoftAttention)
        loop = UnrollPlan(
            self.cell.fused_step_parts()[0], self.attention.kernels, len(state), len(memory[0]), len(state[0]) // len(memory[0]), blocks
        )
        held = [parameter for parameter in self.cell.parameters() if all(parameter is not other for other in weights)]
        h, contexts, alphas = FusedDecoderLoop.apply(loop, *memory, embedded, *weights, *state, *held)
        return h, contexts, alphas, None

    def weights(self) -> StepWeights:
        """What the fast ways make a word with; only with soft attention."""
        assert isinstance(self.attention, SoftAttention)
        matrix, bias = self.cell.input_weight_and_bias()
        return StepWeights(
            energy=self.attention.energy.weight[0],
            query=self.attention.query.weight,
            beta=None if self.beta is None else self.beta.weight,
            beta_bias=None if self.beta is None else self.beta.bias,
            input=matrix,
            bias=bias,
            hidden=self.cell.fused_step_parts()[1],
        )

    def _attend_and_step(self, embedded: Tensor, projected: Tensor, state: State, memory: AttentionCache) -> tuple[State, AttentionOutput]:
        """Look with h_{t-1}, then move the cell: new state, and the look with its rows flat and its context gated."""
        h, c = state[0], state[1] if self.has_cell_state else state[0]
        context, alpha, sampled_log_prob = self.attention(
            memory, DecoderContext(*(entry.unflatten(0, (len(memory[0]), -1)) for entry in (h, c, embedded)))
        )
        context = context.flatten(0, 1)
        if self.beta is not None:
            context = torch.sigmoid(self.beta(h)) * context
        state = self.cell.step(projected + self.cell.project(context, 1), state)
        return state, AttentionOutput(context, alpha.flatten(0, 1), None if sampled_log_prob is None else sampled_log_prob.flatten())

    def _deep_output(self, embedded: Tensor, h: Tensor, context: Tensor) -> Tensor:
        """What `output` makes logits of: tanh(E y + L_h h + L_z z) (Xu et al. 2015, eq. 7, with the tanh of the authors' code), or h."""
        h = self.dropout(h)
        if self.config.deep_output:
            deep = linear(h, self.output_proj_h.weight, self.output_proj_h.bias) + linear(context, self.output_proj_context.weight)
            h = self.dropout(torch.tanh(embedded + deep))
        return h
