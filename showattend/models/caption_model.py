"""Encoder and decoder together: photos in, words and where they came from out."""

import torch
from torch import Tensor, nn

from showattend.attention.additive import SoftAttention
from showattend.decoding import Hypotheses, Search, State, StepFunction, decode
from showattend.encoders.base import Encoder
from showattend.errors import InputError
from showattend.models.decoder import Decoder, Spoken
from showattend.ops.additive_attention import compiled
from showattend.ops.decoder_step import Speaker


class CaptionNetwork(nn.Module):
    """Show, attend and tell (Xu et al. 2015).

    Photos come as bytes (N,3,S,S), or as annotations (N,L,D) that the encoder has made before (see `data/cache.py`).
    """

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def fuse(self) -> None:
        """Compile the loops of additive attention, where there is one: seconds once in a process, several times as fast from then on.

        On a GPU products of float32 are then made in TF32, for the whole process.

        Raises:
            InputError: they cannot be compiled here.
        """
        if isinstance(self.decoder.attention, SoftAttention):
            self.decoder.attention.kernels = compiled()
        if torch.cuda.is_available():
            torch.set_float32_matmul_precision("high")

    def annotate(self, photos: Tensor) -> Tensor:
        """Annotations (N,L,D) in the decoder's precision."""
        annotations = self.encoder(photos)[0] if photos.dim() == 4 else photos
        return annotations.to(self.decoder.output.weight.dtype)

    def forward(self, photos: Tensor, words: Tensor) -> Spoken:
        """Teacher forcing of the words (N,G,T), see `Decoder.forward`."""
        spoken: Spoken = self.decoder(self.annotate(photos), words)
        return spoken

    def speaker(self, *, int8: bool = False) -> Speaker | None:
        """The decoder laid out for speed, for as long as its weights stay as they are; None: its cell or attention has no such way.

        Raises:
            InputError: 8 bits are asked for, and there is no such way.
        """
        if self.decoder.can_unroll() and not self.decoder.training:
            return Speaker(self.decoder, int8=int8)
        if int8:
            raise InputError("8 bits are for soft attention and a cell of those that `showattend cells` marks as fast: leave --int8 out")
        return None

    def begin(self, photos: Tensor, speaker: Speaker | None = None) -> tuple[StepFunction, State]:
        """The decoder as a step function of log-probabilities over these N photos, and its state before the first word.

        Args:
            speaker: one that `speaker` made, when there are many photos; None: one is made for these
        """
        annotations = self.annotate(photos)
        speaker = speaker or (None if torch.is_grad_enabled() else self.speaker())
        say = speaker.step if speaker else self.decoder.step
        memory, state = speaker.begin(*self.decoder.first(annotations)) if speaker else self.decoder.begin(annotations)

        def step(words: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
            logits, state, alpha = say(words, state, memory)
            return logits.float().log_softmax(-1), state, alpha

        return step, state

    @torch.inference_mode()
    def caption(self, photos: Tensor, search: Search, speaker: Speaker | None = None) -> Hypotheses:
        """The captions that a search finds for N photos, see `decode` and `begin`."""
        return decode(*self.begin(photos, speaker), search)
