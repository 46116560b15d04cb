"""Two captioners of files with random weights, of like size: ours, and Hugging Face's `generate` for bench_peers.py."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from bench_peers_stranger import Sizes
from PIL import Image
from torch import nn

from showattend.data.transforms import Preprocessing
from showattend.decoding import GenerationConfig
from showattend.encoders import EncoderConfig, make_encoder
from showattend.errors import InputError
from showattend.inference import Captioner
from showattend.models.caption_model import CaptionModel
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.pretrained import Pretrained
from showattend.vocabulary import END, SPECIALS, Vocabulary

BEAM, MAX_LENGTH, BATCH, IMAGE_SIZE = 3, 12, 32, 224
CaptionFiles = Callable[[Sequence[Path]], object]


def num_parameters(network: nn.Module) -> int:
    """How many numbers a network has learned."""
    return sum(parameter.numel() for parameter in network.parameters())


def our_captioner(sizes: Sizes, *, tiny: bool, precision: str, fuse: str) -> tuple[CaptionFiles, int]:
    """A function that captions files by ResNet-101 on a grid of 14x14, and its number of parameters."""
    encoder = make_encoder(EncoderConfig("tiny", "none") if tiny else EncoderConfig("resnet101", "none", stride=16))
    config = DecoderConfig(embedding_size=sizes.E, hidden_size=sizes.H, attention_size=sizes.A)
    words = [*SPECIALS, *(f"word{index}" for index in range(sizes.V - len(SPECIALS)))]
    network = CaptionModel(encoder, Decoder(config, vocabulary_size=sizes.V, encoder_dim=encoder.channels)).eval()
    with torch.no_grad():
        network.decoder.output.bias[END] = -100.0  # all captions have MAX_LENGTH tokens
    model = Pretrained(network, Vocabulary(words), Preprocessing(IMAGE_SIZE, "stretch"), GenerationConfig(BEAM, MAX_LENGTH))
    captioner = Captioner(model, "cpu", precision=precision, fuse=fuse)
    return lambda photos: list(captioner.caption_files(photos, batch_size=BATCH, workers=1)), num_parameters(network)


def hugging_face_captioner(vocabulary_size: int, *, tiny: bool) -> tuple[CaptionFiles, int]:
    """The same by a vision transformer and GPT-2 with cross-attention, in the way of the library's documentation.

    Raises:
        InputError: transformers is not installed.
    """
    try:
        from transformers import GPT2Config, VisionEncoderDecoderConfig, VisionEncoderDecoderModel, ViTConfig, ViTImageProcessor
    except ImportError as error:
        raise InputError("Hugging Face's library is not here: pip install transformers") from error
    width, layers = (32, 1) if tiny else (512, 12)
    vision = ViTConfig(hidden_size=width, num_hidden_layers=layers, num_attention_heads=8, intermediate_size=4 * width)
    language = GPT2Config(n_embd=width, n_layer=layers // 2 or 1, n_head=8, vocab_size=vocabulary_size, bos_token_id=1, eos_token_id=2)
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(vision, language)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 1, 0, 2
    model, processor = VisionEncoderDecoderModel(config=config).eval(), ViTImageProcessor()

    @torch.inference_mode()
    def caption(photos: Sequence[Path]) -> list[list[int]]:
        found: list[list[int]] = []
        for start in range(0, len(photos), BATCH):
            pictures = [Image.open(path).convert("RGB") for path in photos[start : start + BATCH]]
            pixels = processor(pictures, return_tensors="pt").pixel_values
            options = {"num_beams": BEAM, "min_new_tokens": MAX_LENGTH, "max_new_tokens": MAX_LENGTH}
            found += model.generate(pixels, decoder_start_token_id=1, eos_token_id=2, pad_token_id=0, **options).tolist()
        return found

    return caption, num_parameters(model)
