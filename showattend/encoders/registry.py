"""Names of encoders: registered classes, dotted paths, and families that are imported only when one of their networks is built."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from torch import Tensor

from showattend.encoders.base import Encoder, EncoderConfig
from showattend.errors import unknown_name
from showattend.registry import Registry

encoders: Registry[Encoder] = Registry("encoder", Encoder)  # type: ignore[type-abstract]
register = encoders.register


class EncoderFamily(Protocol):
    """Encoders of many names, from a library that takes long to import.

    `build` and `names` may import the library; `rebuild` works without it. See `Encoder` for both.
    """

    pattern: re.Pattern[str]  # of the names that it answers for, known or not

    def names(self) -> list[str]:
        """All names that can be built."""

    def build(self, config: EncoderConfig) -> Encoder:
        """The encoder of a configuration, with its weights."""

    def rebuild(self, config: EncoderConfig, spec: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Encoder:
        """The encoder of a saved model."""


families: list[EncoderFamily] = []


def register_family(family: EncoderFamily) -> EncoderFamily:
    """Add a family; of two whose patterns match a name, the one that was registered first is taken."""
    families.append(family)
    return family


def encoder_names() -> list[str]:
    """Registered names and those of all families. This imports the families' libraries."""
    return sorted({*encoders.names(), *(name for family in families for name in family.names())})


def make_encoder(config: EncoderConfig) -> Encoder:
    """The encoder of a configuration, with its weights, trainable from where `config.finetune` says.

    Raises:
        InputError: the name is not known, the weights cannot be had or do not fit, or there is no such layer, stride or stage.
    """
    return find_encoder(config.name).build(config).set_trainable(config.finetune)


def rebuild_encoder(
    config: EncoderConfig, spec: Mapping[str, Any], weights: Mapping[str, Tensor], *, trust: Collection[str] = ()
) -> Encoder:
    """The encoder of a saved model, see `Encoder.rebuild`.

    Args:
        trust: dotted paths, or modules of such, that may be imported

    Raises:
        InputError: the name is not known or not trusted, or the specification is not valid or does not fit the weights.
    """
    return find_encoder(config.name, trusted=trust).rebuild(config, spec, weights)


def find_encoder(name: str, *, trusted: Collection[str] | None = None) -> type[Encoder] | EncoderFamily:
    """The class or the family that builds the encoder of a name.

    Args:
        trusted: see `Registry.find`

    Raises:
        InputError: there is none.
    """
    if name in encoders.entries or ":" in name:
        return encoders.find(name, trusted=trusted)
    family = next((family for family in families if family.pattern.fullmatch(name)), None)
    if family is None:
        raise unknown_name("encoder", name, encoder_names())
    return family
