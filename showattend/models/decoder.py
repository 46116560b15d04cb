"""The decoder of Show, Attend and Tell: attention feeds a recurrent cell, whose state predicts the next token (Xu et al. 2015, 3.1.2).

This file is the reference: plain PyTorch, to be read along with the paper. What is unusual about it:

- Rows are grouped by image. N images have G rows each: captions of the image in training, hypotheses in search. Tensors of an
  image (features, keys) are computed once and never repeated for its rows; states are flat, (N*G, ...).
- `step` computes one token. `forward` computes whole captions: embeddings before the loop over time, logits after it, and the
  loop itself calls `_attend_and_step`, as `step` does.
- One branch in `forward` leads to a faster loop with the same results (`models.fused`); skip it at the first reading.

Shapes: N images with G rows each, T tokens of a caption, M tokens of a packed batch, L locations, D feature channels,
E embedding channels, H hidden units, V tokens in the vocabulary.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from showattend.attention import AttentionCache, AttentionOutput, AttentionSizes, DecoderContext, make_attention
from showattend.cells import State, make_cell
from showattend.models.config import DecoderConfig
from showattend.models.fused import fused_loop, supports_fused_loop
from showattend.models.teacher_forcing import PackedCaptions
from showattend.ops.linear import linear, product_dtype
from showattend.ops.unroll_plan import BatchShape, keep_active_rows


class DecoderOutput(NamedTuple):
    """The result of teacher forcing for M tokens of N images with G captions each.

    hidden: the input of the last layer for all tokens that are no padding, in the order of `flatten_tokens`, (M,E or H);
        with static shapes for all N*G*T
    output: the last layer, from `hidden` to logits
    alphas: weights on the locations, zero at padding, (N,G,T,L)
    sampled_log_probs: log-probabilities of sampled locations, zero at padding and where none was sampled, (N,G,T);
        None: the attention did not sample
    """

    hidden: Tensor
    output: nn.Linear
    alphas: Tensor
    sampled_log_probs: Tensor | None

    @property
    def logits(self) -> Tensor:
        """Logits of all M tokens, (M,V), computed at each access; `ops.linear_cross_entropy` computes a loss without them."""
        return linear(self.hidden, self.output.weight, self.output.bias)


class Decoder(nn.Module):
    """Attention, gate, recurrent cell and deep output (Xu et al. 2015, eq. 1-7 and 13).

    Args:
        vocabulary_size: V, special tokens included
        encoder_dim: channels of the encoder's features

    Attributes:
        use_fused_loop: use the faster loop where it fits; False: always the plain one
    """

    def __init__(self, config: DecoderConfig, *, vocabulary_size: int, encoder_dim: int) -> None:
        super().__init__()
        self.config, self.use_fused_loop = config, True
        D, E, H = config.projection_dim or encoder_dim, config.embedding_size, config.hidden_size
        self.feature_proj = nn.Sequential(nn.Linear(encoder_dim, D), nn.ReLU()) if config.projection_dim else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.embedding = nn.Embedding(vocabulary_size, E)
        self.attention = make_attention(config.attention, AttentionSizes(D, H, E, config.attention_size), config.attention_options)
        options = config.cell_options
        self.cell = make_cell(config.cell, (E, D), H, layers=config.layers, dropout=config.dropout, options=options)
        hidden = [module for _ in range(config.init_layers - 1) for module in (nn.Linear(D, D), nn.ReLU(), self.dropout)]
        self.init_mlp = nn.Sequential(*hidden)
        self.init_proj = nn.Linear(D, 2 * self.cell.initial_size)
        gate_channels = {"scalar": 1, "vector": D, "none": 0}[config.gate]
        self.beta = nn.Linear(H, gate_channels) if gate_channels else None
        if config.deep_output:
            self.output_proj_h = nn.Linear(H, E)
            self.output_proj_context = nn.Linear(D, E, bias=False)
        self.output = nn.Linear(E if config.deep_output else H, vocabulary_size)
        self.embedding_dropout = nn.Dropout(config.dropout if config.embedding_dropout is None else config.embedding_dropout)
        self.feature_dropout = nn.Dropout1d(config.feature_dropout)
        # The second entry of a state is the cell state c, of the top layer in a stack, where the cell has one.
        self.has_cell_state = [name.rstrip("0123456789") for name in self.cell.state_names[1:2]] == ["c"]
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Small embeddings and no bias towards any token; the cell initialises its own weights.

        `xu2015`, as in the authors' code: square matrices orthogonal, others and the embeddings normal with a
        standard deviation of 0.01, biases 0.
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

    def project_features_and_init_state(self, encoder_features: Tensor) -> tuple[Tensor, State]:
        """The features that attention works on, and the state before the first token.

        Args:
            encoder_features: (N,L,encoder_dim)

        Returns:
            features: a_i, (N,L,D)
            state: h_0 and c_0 from an MLP of the mean feature (Xu et al. 2015, section 3.1.2), tensors (N, ...)
        """
        # In mixed precision rounded once, and not again for every product.
        encoder_features = encoder_features.to(product_dtype(encoder_features))
        features = self.feature_proj(self.feature_dropout(encoder_features.transpose(1, 2)).transpose(1, 2))
        # In bfloat16 on a CPU a mean takes six times as long as a sum.
        mean = features.sum(1) / features.shape[1] if features.dtype == torch.bfloat16 else features.mean(1)
        h, c = torch.tanh(self.init_proj(self.init_mlp(mean))).chunk(2, -1)
        return features, self.cell.initial_state(h, c)

    def init_state(self, encoder_features: Tensor) -> tuple[AttentionCache, State]:
        """The attention's cache of N images and the first state, see `project_features_and_init_state`; `step` takes both."""
        features, state = self.project_features_and_init_state(encoder_features)
        return self.attention.precompute(features), state

    def step(self, token_ids: Tensor, state: State, cache: AttentionCache) -> tuple[Tensor, State, Tensor]:
        """Compute the logits of the next token from the last one.

        Args:
            token_ids: the last token of each row, (N*G,)
            state: the state of each row, tensors (N*G, ...)
            cache: from `init_state`, of the N images

        Returns:
            logits: of the next token, (N*G,V)
            state: the new state
            alpha: weights on the locations, (N*G,L)
        """
        embedding = self.embedding_dropout(self.embedding(token_ids))
        state, attended = self._attend_and_step(embedding, self.cell.project(embedding, 0), state, cache)
        hidden = self._deep_output(embedding, state[0], attended.context)
        return linear(hidden, self.output.weight, self.output.bias), state, attended.alpha

    def forward(self, encoder_features: Tensor, input_ids: Tensor, *, static_shapes: bool = False) -> DecoderOutput:
        """Teacher forcing: every token of every caption is predicted from the true tokens before it.

        Args:
            encoder_features: (N,L,encoder_dim)
            input_ids: captions from `<start>` on, without `<end>`, then `<pad>`, (N,G,T)
            static_shapes: compute padding too, and include it in `hidden`: shapes then do not depend on the captions, as a CUDA
                graph requires
        """
        cache, state = self.init_state(encoder_features)
        state = tuple(entry.repeat_interleave(input_ids.shape[1], 0) for entry in state)
        packed = PackedCaptions.pack(input_ids, static_shapes=static_shapes)
        embeddings = self.embedding_dropout(self.embedding(packed.input_ids))  # (M,E)
        if self.supports_fused_loop:
            h, contexts, alphas, sampled_log_probs = fused_loop(self, embeddings, packed.batch_shapes, state, cache)
        else:
            h, contexts, alphas, sampled_log_probs = self._loop_autograd(embeddings, packed.batch_shapes, state, cache)
        hidden = self._deep_output(embeddings, h, contexts)  # (M,E)
        return DecoderOutput(
            hidden if static_shapes else hidden[packed.mask],
            self.output,
            packed.scatter_to_padded(alphas),
            None if sampled_log_probs is None else packed.scatter_to_padded(sampled_log_probs),
        )

    @property
    def supports_fused_loop(self) -> bool:
        """Whether `forward` and search use the faster loop and step."""
        return self.use_fused_loop and supports_fused_loop(self)

    def _loop_autograd(
        self, embeddings: Tensor, batch_shapes: list[BatchShape], state: State, cache: AttentionCache
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """The loop over time.

        Args:
            embeddings: of all tokens, the first time step first, (M,E)
            batch_shapes: images and rows that are active at each time step
            state: before the first token, tensors (N*G, ...)

        Returns:
            h (M,H), gated contexts (M,D), alphas (M,L), and log-probabilities of sampled locations (M,) or None
        """
        h: list[Tensor] = []
        outputs: list[AttentionOutput] = []
        # Split before the loop: an index inside it would give each time step a gradient of the size of the whole tensor.
        sizes = [images * rows for images, rows in batch_shapes]
        steps = zip(embeddings.split(sizes), self.cell.project(embeddings, 0).split(sizes), batch_shapes, strict=True)
        previous = len(cache[0]), len(state[0]) // len(cache[0])
        for embedding, projected, shape in steps:
            cache = tuple(entry[: shape[0]] for entry in cache)
            state = tuple(keep_active_rows(entry, previous, shape) for entry in state)
            state, attended = self._attend_and_step(embedding, projected, state, cache)
            h.append(state[0])
            outputs.append(attended)
            previous = shape
        contexts, alphas, sampled_log_probs, _ = zip(*outputs, strict=True)
        return torch.cat(h), torch.cat(contexts), torch.cat(alphas), None if sampled_log_probs[0] is None else torch.cat(sampled_log_probs)

    def _attend_and_step(self, embedding: Tensor, projected: Tensor, state: State, cache: AttentionCache) -> tuple[State, AttentionOutput]:
        """Attend with h_{t-1}, gate the context, update the cell.

        Args:
            embedding: of the last token, (N*G,E)
            projected: its share of the cell's pre-activations, (N*G,S*H)

        Returns:
            the new state, and the attention's output with flat rows and the gated context
        """
        h, c = state[0], state[1] if self.has_cell_state else state[0]
        query = DecoderContext(*(entry.unflatten(0, (cache[0].shape[0], -1)) for entry in (h, c, embedding)))  # (N,G,·)
        context, alpha, sampled_log_prob, _ = self.attention(cache, query)
        context = context.flatten(0, 1)  # (N*G,D)
        if self.beta is not None:
            context = torch.sigmoid(self.beta(h)) * context
        state = self.cell.step(projected + self.cell.project(context, 1), state)
        return state, AttentionOutput(context, alpha.flatten(0, 1), None if sampled_log_prob is None else sampled_log_prob.flatten())

    def _deep_output(self, embedding: Tensor, h: Tensor, context: Tensor) -> Tensor:
        """The input of the last layer: tanh(E y + L_h h + L_z z) (eq. 7, with the tanh of the authors' code), or h without deep output."""
        h = self.dropout(h)
        if not self.config.deep_output:
            return h
        deep = linear(h, self.output_proj_h.weight, self.output_proj_h.bias) + linear(context, self.output_proj_context.weight)
        hidden: Tensor = self.dropout(torch.tanh(embedding + deep))
        return hidden
