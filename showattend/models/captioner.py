"""Encoder and decoder together: photos in, words and where they came from out."""

import torch
from torch import Tensor, nn

from showattend.decoding import Hypotheses, Search, State, StepFunction, decode
from showattend.models.decoder import Decoder, Spoken
from showattend.models.encoder import Encoder
from showattend.models.speaker import speaker_of


class CaptionNetwork(nn.Module):
    """Show, attend and tell (Xu et al. 2015).

    Photos come as bytes (N,3,S,S), or as annotations (N,L,D) that the encoder has made before (see `data/cache.py`).
    """

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.int8 = False  # true: captions are found with matrices in 8 bits

    def annotate(self, photos: Tensor) -> Tensor:
        """Annotations (N,L,D) in the decoder's precision."""
        annotations = self.encoder(photos)[0] if photos.dim() == 4 else photos
        return annotations.to(self.decoder.output.weight.dtype)

    def forward(self, photos: Tensor, words: Tensor) -> Spoken:
        """Teacher forcing of the words (N,G,T), see `Decoder.forward`."""
        spoken: Spoken = self.decoder(self.annotate(photos), words)
        return spoken

    def begin(self, photos: Tensor) -> tuple[StepFunction, State]:
        """The decoder as a step function of log-probabilities over these N photos, and its state before the first word."""
        decoder, annotations = self.decoder, self.annotate(photos)
        if decoder.can_unroll() and not decoder.training and not torch.is_grad_enabled():
            speaker = speaker_of(decoder, int8=self.int8)
            (memory, state), say = speaker.begin(*decoder.first(annotations)), speaker.step
        else:
            (memory, state), say = decoder.begin(annotations), decoder.step

        def step(words: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
            logits, state, alpha = say(words, state, memory)
            return logits.float().log_softmax(-1), state, alpha

        return step, state

    @torch.inference_mode()
    def caption(self, photos: Tensor, search: Search) -> Hypotheses:
        """The captions that a search finds for N photos, see `decode`."""
        return decode(*self.begin(photos), search)
