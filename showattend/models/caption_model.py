"""Encoder and decoder together: photos in, words and where they came from out."""

import torch
from torch import Tensor, nn

from showattend.attention.additive import SoftAttention
from showattend.decoding import GenerationConfig, Hypotheses, State, StepFunction, generate
from showattend.encoders import Encoder
from showattend.errors import InputError
from showattend.models.decoder import Decoder, DecoderOutput
from showattend.models.inputs import PhotoInputs, Pixels
from showattend.ops.additive_attention import compiled_kernels
from showattend.ops.decoder_step import InferenceDecoder


class CaptionModel(nn.Module):
    """Show, attend and tell (Xu et al. 2015).

    Photos come as `Pixels`, or as `Features` that the encoder has made before (see `features/cache.py`).
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
            self.decoder.attention.kernels = compiled_kernels()
        if torch.cuda.is_available():
            torch.set_float32_matmul_precision("high")

    def encode_photos(self, photos: PhotoInputs) -> Tensor:
        """Annotations (N,L,D) in the decoder's precision."""
        encoder_features = self.encoder(photos.values).features if isinstance(photos, Pixels) else photos.values
        return encoder_features.to(self.decoder.output.weight.dtype)

    def forward(self, photos: PhotoInputs, words: Tensor) -> DecoderOutput:
        """Teacher forcing of the words (N,G,T), see `Decoder.forward`."""
        spoken: DecoderOutput = self.decoder(self.encode_photos(photos), words)
        return spoken

    def inference_decoder(self, *, int8: bool = False) -> InferenceDecoder | None:
        """The decoder laid out for speed, for as long as its weights stay as they are; None: its cell or attention has no such way.

        Raises:
            InputError: 8 bits are asked for, and there is no such way.
        """
        if self.decoder.supports_fused_loop() and not self.decoder.training:
            return InferenceDecoder(self.decoder, int8=int8)
        if int8:
            raise InputError("8 bits are for soft attention and a cell of those that `showattend cells` marks as fast: leave --int8 out")
        return None

    def make_step_function(self, photos: PhotoInputs, inference_decoder: InferenceDecoder | None = None) -> tuple[StepFunction, State]:
        """The decoder as a step function of log-probabilities over these N photos, and its state before the first word.

        Args:
            speaker: one that `speaker` made, when there are many photos; None: one is made for these
        """
        encoder_features = self.encode_photos(photos)
        inference_decoder = inference_decoder or (None if torch.is_grad_enabled() else self.inference_decoder())
        say = inference_decoder.step if inference_decoder else self.decoder.step
        memory, state = (
            inference_decoder.init_state(*self.decoder.project_features_and_init_state(encoder_features))
            if inference_decoder
            else self.decoder.init_state(encoder_features)
        )

        def step(words: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
            logits, state, alpha = say(words, state, memory)
            return logits.float().log_softmax(-1), state, alpha

        return step, state

    @torch.inference_mode()
    def caption(self, photos: PhotoInputs, search: GenerationConfig, inference_decoder: InferenceDecoder | None = None) -> Hypotheses:
        """The captions that a search finds for N photos, see `decode` and `begin`."""
        return generate(*self.make_step_function(photos, inference_decoder), search)
