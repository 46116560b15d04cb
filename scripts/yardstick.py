"""THE YARDSTICK: show, attend and tell as most tutorials write it. It is here to be measured against, and for nothing else.

No module of the package imports it. It projects all annotations again at every word, makes logits at every word, keeps what every
word needs for the backward pass over the full length of the longest caption, repeats a photo's annotations for each of its captions,
and searches one photo at a time. The model is the same as ours, weight for weight: Xu et al. 2015 with an LSTM, soft attention, scalar beta
and deep output.

Another yardstick can take its place (`bench_decoder.py --yardstick my_package.models:TheirDecoder`): a class of the same interface.
"""

import torch
from torch import Tensor, nn

from showattend.models.decoder import Decoder
from showattend.vocabulary import END, PAD, START, UNKNOWN


class Yardstick(nn.Module):
    """The decoder of most tutorials.

    Args:
        D, H, A, E, V: channels, hidden units, attention units, embedding channels, words
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

    def forward(self, encoder_features: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Teacher forcing.

        Args:
            annotations: one map for each caption, (B,L,D)
            words: `<start>` and what follows, then `<pad>`, (B,T)

        Returns:
            logits (B,T,V) and alphas (B,T,L)
        """
        state = self._begin(encoder_features)
        logits, alphas = [], []
        for word in words.unbind(1):
            of_word, state, alpha = self._step(word, state, encoder_features)
            logits.append(of_word)
            alphas.append(alpha)
        return torch.stack(logits, 1), torch.stack(alphas, 1)

    @torch.no_grad()
    def caption(self, encoder_features: Tensor, beam: int, length: int) -> list[int]:
        """Beam search over one photo: the words with the highest log-probability, `<end>` left out.

        Args:
            annotations: of one photo, (1,L,D)
        """
        encoder_features = encoder_features.expand(beam, -1, -1)
        state = self._begin(encoder_features)
        words = torch.full((beam, 1), START, device=encoder_features.device)
        scores = torch.full((beam,), -torch.inf, device=encoder_features.device)
        scores[0] = 0.0
        finished: list[tuple[float, list[int]]] = []
        for _ in range(length):
            logits, state, _ = self._step(words[:, -1], state, encoder_features[: len(words)])
            log_probs = logits.log_softmax(-1)
            log_probs[:, [PAD, START, UNKNOWN]] = -torch.inf
            scores, best = (scores.unsqueeze(1) + log_probs).flatten().topk(len(words))
            rows, following = best // log_probs.shape[1], best % log_probs.shape[1]
            words = torch.cat((words[rows], following.unsqueeze(1)), 1)
            state = tuple(entry[rows] for entry in state)
            ended = following == END
            finished += [(score, said[1:-1]) for score, said in zip(scores[ended].tolist(), words[ended].tolist(), strict=True)]
            words, scores, state = words[~ended], scores[~ended], tuple(entry[~ended] for entry in state)
            if not len(words):
                break
        finished = finished or [(score, said[1:]) for score, said in zip(scores.tolist(), words.tolist(), strict=True)]
        return max(finished)[1]

    def _begin(self, encoder_features: Tensor) -> tuple[Tensor, ...]:
        mean = encoder_features.mean(1)
        return torch.tanh(self.initial_h(mean)), torch.tanh(self.initial_c(mean))

    def _step(self, word: Tensor, state: tuple[Tensor, ...], encoder_features: Tensor) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        h, c = state
        embedded = self.embedding(word)
        energies = self.energy(torch.tanh(self.key(encoder_features) + self.query(h).unsqueeze(1))).squeeze(2)
        alpha = energies.softmax(1)
        context = (encoder_features * alpha.unsqueeze(2)).sum(1)
        context = torch.sigmoid(self.beta(h)) * context
        h, c = self.cell(torch.cat((embedded, context), 1), (h, c))
        logits = self.output(torch.tanh(embedded + self.output_proj_h(h) + self.output_proj_context(context)))
        return logits, (h, c), alpha

    @torch.no_grad()
    def take(self, decoder: Decoder) -> None:
        """Become the same model as this decoder, weight for weight."""
        for mine, theirs in (
            (self.embedding, decoder.embedding),
            (self.key, decoder.attention.key),
            (self.query, decoder.attention.query),
            (self.energy, decoder.attention.energy),
            (self.beta, decoder.beta),
            (self.output_proj_h, decoder.output_proj_h),
            (self.output_proj_context, decoder.output_proj_context),
            (self.output, decoder.output),
        ):
            mine.load_state_dict(theirs.state_dict())
        for mine, weight, bias in zip(
            (self.initial_h, self.initial_c), decoder.init_proj.weight.chunk(2), decoder.init_proj.bias.chunk(2), strict=True
        ):
            mine.weight.copy_(weight)
            mine.bias.copy_(bias)
        self.cell.weight_ih.copy_(decoder.cell.weight_ih)
        self.cell.weight_hh.copy_(decoder.cell.weight_hh)
        self.cell.bias_ih.copy_(decoder.cell.bias)
        self.cell.bias_hh.zero_()
