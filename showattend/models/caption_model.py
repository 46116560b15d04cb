"""Encoder and decoder joined: photos in; logits, captions and attention weights out."""

import math

import torch
from torch import Tensor, nn

from showattend.decoding import GenerationConfig, Hypotheses, State, StepFunction, search
from showattend.encoders import Encoder
from showattend.errors import InputError
from showattend.models.decoder import Decoder, DecoderOutput
from showattend.models.fused import inference_parts
from showattend.models.inputs import Features, PhotoInputs, Pixels
from showattend.ops.cuda_graphs import compiled_in_graphs
from showattend.ops.decoder_step import InferenceDecoder
from showattend.ops.linear import product_dtype


class CaptionModel(nn.Module):
    """Show, attend and tell (Xu et al. 2015).

    Photos come as `Pixels`, or as `Features` that the encoder computed before (see `features/cache.py`).
    """

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def fuse(self) -> None:
        """Compile the attention's loops, where it has any: some seconds once per process, several times as fast from then on.

        On a GPU float32 products are computed in TF32 from then on, in the whole process. A second call changes nothing.

        Raises:
            InputError: torch.compile fails on this machine.
        """
        self.decoder.attention.compile_kernels()
        if torch.cuda.is_available():
            torch.set_float32_matmul_precision("high")

    def elements_per_token(self, image_size: int) -> int:
        """Elements of the attention's map (L,A) of one token, for photos of a size; `ops.fusing` counts work in them."""
        side = math.ceil(image_size / self.encoder.geometry_at(image_size).step)
        return side * side * self.decoder.config.attention_size

    def encode_photos(self, photos: PhotoInputs) -> Tensor:
        """Features in the precision of the decoder's products, (N,L,encoder_dim)."""
        encoder_features = self.encoder(photos.values).features if isinstance(photos, Pixels) else photos.values
        return encoder_features.to(product_dtype(self.decoder.output.weight))

    def forward(self, photos: PhotoInputs, input_ids: Tensor) -> DecoderOutput:
        """Teacher forcing with captions (N,G,T), see `Decoder.forward`."""
        output: DecoderOutput = self.decoder(self.encode_photos(photos), input_ids)
        return output

    def inference_decoder(self, dtype: torch.dtype | None = None) -> InferenceDecoder | None:
        """The decoder with packed weights, valid as long as its weights do not change; None: attention or cell do not support it.

        Args:
            dtype: of the operands of products, such as bfloat16 or int8 (default: autocast's if it is on, else that of the weights)

        Raises:
            InputError: int8, and attention or cell do not support it.
        """
        if self.decoder.supports_fused_loop and not self.decoder.training:
            dtype = dtype or product_dtype(self.decoder.output.weight)
            # While one batch is searched, the encoder computes the next one in threads of its own: convolutions, or products too?
            alone = all(parameter.dim() != 2 for parameter in self.encoder.parameters())
            return InferenceDecoder(inference_parts(self.decoder, dtype), dtype, alone=alone)
        if dtype == torch.int8:
            raise InputError("int8 needs soft attention and a cell that `showattend cells` marks as fast: give --precision auto")
        return None

    def make_step_function(self, photos: PhotoInputs, inference_decoder: InferenceDecoder | None = None) -> tuple[StepFunction, State]:
        """The arguments of `decoding.generate`: a function from tokens and state to log-probabilities, and the first state.

        Args:
            photos: N photos
            inference_decoder: from `inference_decoder`, so that many batches share it; None: this batch gets its own
        """
        features, state = self.decoder.project_features_and_init_state(self.encode_photos(photos))
        if inference_decoder is None and not torch.is_grad_enabled():
            inference_decoder = self.inference_decoder()
        decoder_step = self.decoder.step if inference_decoder is None else inference_decoder.step
        if inference_decoder is None:
            cache = self.decoder.attention.precompute(features)
        else:
            cache, state = inference_decoder.init_state(features, state)

        @compiled_in_graphs
        def step(token_ids: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
            logits, state, alpha = decoder_step(token_ids, state, cache)
            return _log_softmax(logits.float()), state, alpha

        return step, state

    @torch.inference_mode()
    def caption(self, photos: PhotoInputs, config: GenerationConfig, inference_decoder: InferenceDecoder | None = None) -> Hypotheses:
        """Captions of N photos, see `decoding.search` and `make_step_function`."""
        decoder = inference_decoder or self.inference_decoder()
        return search(lambda features: self.make_step_function(Features(*features), decoder), [self.encode_photos(photos)], config)


def _log_softmax(logits: Tensor) -> Tensor:
    """Log-probabilities along the last axis; on a CPU in place of the logits, because both together would not fit into its caches."""
    in_place = logits.device.type == "cpu" and not logits.requires_grad
    return torch.log_softmax(logits, -1, out=logits) if in_place else logits.log_softmax(-1)
