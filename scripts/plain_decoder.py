"""Show, attend and tell as most tutorials write it: the baseline of bench_decoder.py and bench_pipeline.py, and nothing else.

No module of the package imports it. It projects all features again at every token, computes logits at every token, stores what
every token needs for the backward pass over the full length of the longest caption, repeats an image's features for each of its
captions, and searches one image at a time. The model is the same as ours, weight for weight: Xu et al. 2015 with an LSTM, soft
attention, scalar beta and deep output.

Another decoder can take its place (`bench_decoder.py --baseline my_package.models:TheirDecoder`): a class with the same
constructor, `forward` and `caption`. With `copy_weights_from` its results are compared with ours, too.
"""

import torch
from torch import Tensor, nn

from showattend.models.decoder import Decoder
from showattend.vocabulary import END, PAD, START, UNKNOWN


class PlainDecoder(nn.Module):
    """The decoder of most tutorials.

    Args:
        D, H, A, E, V: feature channels, hidden units, attention units, embedding channels, vocabulary size
    """

    def __init__(self, D: int, H: int, A: int, E: int, V: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, E)
        self.key = nn.Linear(D, A)
        self.query = nn.Linear(H, A, bias=False)
        self.energy = nn.Linear(A, 1, bias=False)
        self.initial_h = nn.Linear(D, H)
        self.initial_c = nn.Linear(D, H)
        self.beta = nn.Linear(H, 1)
        self.cell = nn.LSTMCell(E + D, H)
        self.output_proj_h = nn.Linear(H, E)
        self.output_proj_context = nn.Linear(D, E, bias=False)
        self.output = nn.Linear(E, V)

    def forward(self, encoder_features: Tensor, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Teacher forcing.

        Args:
            encoder_features: one feature map for each caption, (B,L,D)
            input_ids: `<start>` and the tokens that follow, then `<pad>`, (B,T)

        Returns:
            logits (B,T,V) and alphas (B,T,L)
        """
        state = self._init_state(encoder_features)
        all_logits, alphas = [], []
        for token_ids in input_ids.unbind(1):
            logits, state, alpha = self._step(token_ids, state, encoder_features)
            all_logits.append(logits)
            alphas.append(alpha)
        return torch.stack(all_logits, 1), torch.stack(alphas, 1)

    @torch.no_grad()
    def caption(self, encoder_features: Tensor, beam: int, max_length: int) -> list[int]:
        """Beam search for one image: the token ids with the highest log-probability, without `<end>`.

        Args:
            encoder_features: of one image, (1,L,D)
        """
        encoder_features = encoder_features.expand(beam, -1, -1)
        state = self._init_state(encoder_features)
        token_ids = torch.full((beam, 1), START, device=encoder_features.device)
        scores = torch.full((beam,), -torch.inf, device=encoder_features.device)
        scores[0] = 0.0
        finished: list[tuple[float, list[int]]] = []
        for _ in range(max_length):
            logits, state, _ = self._step(token_ids[:, -1], state, encoder_features[: len(token_ids)])
            log_probs = logits.log_softmax(-1)
            log_probs[:, [PAD, START, UNKNOWN]] = -torch.inf
            scores, best = (scores.unsqueeze(1) + log_probs).flatten().topk(len(token_ids))
            parents, next_ids = best // log_probs.shape[1], best % log_probs.shape[1]
            token_ids = torch.cat((token_ids[parents], next_ids.unsqueeze(1)), 1)
            state = tuple(entry[parents] for entry in state)
            ended = next_ids == END
            finished += [(score, ids[1:-1]) for score, ids in zip(scores[ended].tolist(), token_ids[ended].tolist(), strict=True)]
            token_ids, scores, state = token_ids[~ended], scores[~ended], tuple(entry[~ended] for entry in state)
            if not len(token_ids):
                break
        finished = finished or [(score, ids[1:]) for score, ids in zip(scores.tolist(), token_ids.tolist(), strict=True)]
        return max(finished)[1]

    def _init_state(self, encoder_features: Tensor) -> tuple[Tensor, ...]:
        mean = encoder_features.mean(1)
        return torch.tanh(self.initial_h(mean)), torch.tanh(self.initial_c(mean))

    def _step(self, token_ids: Tensor, state: tuple[Tensor, ...], encoder_features: Tensor) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        h, c = state
        embedded = self.embedding(token_ids)
        energies = self.energy(torch.tanh(self.key(encoder_features) + self.query(h).unsqueeze(1))).squeeze(2)
        alpha = energies.softmax(1)
        context = (encoder_features * alpha.unsqueeze(2)).sum(1)
        context = torch.sigmoid(self.beta(h)) * context
        h, c = self.cell(torch.cat((embedded, context), 1), (h, c))
        logits = self.output(torch.tanh(embedded + self.output_proj_h(h) + self.output_proj_context(context)))
        return logits, (h, c), alpha

    @torch.no_grad()
    def copy_weights_from(self, decoder: Decoder) -> None:
        """Become the same model as this decoder, weight for weight."""
        for own, other in (
            (self.embedding, decoder.embedding),
            (self.key, decoder.attention.key),
            (self.query, decoder.attention.query),
            (self.energy, decoder.attention.energy),
            (self.beta, decoder.beta),
            (self.output_proj_h, decoder.output_proj_h),
            (self.output_proj_context, decoder.output_proj_context),
            (self.output, decoder.output),
        ):
            own.load_state_dict(other.state_dict())
        for own, weight, bias in zip(
            (self.initial_h, self.initial_c), decoder.init_proj.weight.chunk(2), decoder.init_proj.bias.chunk(2), strict=True
        ):
            own.weight.copy_(weight)
            own.bias.copy_(bias)
        self.cell.weight_ih.copy_(decoder.cell.weight_ih)
        self.cell.weight_hh.copy_(decoder.cell.weight_hh)
        self.cell.bias_ih.copy_(decoder.cell.bias)
        self.cell.bias_hh.zero_()
