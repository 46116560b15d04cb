"""Encoders behind one contract: `make_encoder(config)` builds one, `Encoder` is the contract."""

from showattend.encoders import timm_encoder, tiny_cnn, torchvision_family  # noqa: F401  (importing them registers their names)
from showattend.encoders.base import Encoder, EncoderConfig, EncoderOutput, Normalization
from showattend.encoders.registry import EncoderFamily, encoder_names, make_encoder, rebuild_encoder, register, register_family

__all__ = [
    "Encoder",
    "EncoderConfig",
    "EncoderFamily",
    "EncoderOutput",
    "Normalization",
    "encoder_names",
    "make_encoder",
    "rebuild_encoder",
    "register",
    "register_family",
]
