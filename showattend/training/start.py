"""Finished models that training starts from."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from showattend.encoders import Encoder, EncoderConfig
from showattend.errors import InputError, one_line
from showattend.models.decoder import Decoder
from showattend.pretrained import Pretrained, load_pretrained
from showattend.vocabulary import Vocabulary


def load_start(folder: str, vocabulary: Vocabulary, *, trust: Collection[str] = ()) -> Pretrained:
    """The finished model of a folder, to be trained further on data with its vocabulary.

    Args:
        trust: modules of the user's own that the model's files may import

    Raises:
        InputError: the model cannot be loaded, or has another vocabulary.
    """
    model = load_pretrained(Path(folder), trust=trust)
    if model.vocabulary.tokenizer != vocabulary.tokenizer:
        raise InputError(f"{folder} was trained on words of another tokenizer: give --data.tokenizer {model.vocabulary.tokenizer}")
    if model.vocabulary != vocabulary:
        raise InputError(f"{folder} was trained on other words than these data have: give the same data and --data.min_count")
    return model


def start_encoder(model: Pretrained, config: EncoderConfig) -> Encoder:
    """The model's encoder with its weights, trainable from where `config.finetune` says.

    Raises:
        InputError: it is another encoder than the configuration's, or there is no such stage.
    """
    encoder = model.network.encoder
    if encoder.config.name != config.name:
        raise InputError(f"the model to start from has another encoder than {config.name}: give --model.encoder.name {encoder.config.name}")
    for name in ("layer", "stride"):
        value, given = getattr(encoder.config, name), getattr(config, name)
        if given not in (None, value):
            found = "null" if value is None else value
            raise InputError(f"the model to start from has an encoder with {name} {found}: leave out --model.encoder.{name}")
    encoder.config = replace(encoder.config, finetune=config.finetune, learning_rate=config.learning_rate)
    return encoder.set_trainable(config.finetune)


def load_start_weights(decoder: Decoder, model: Pretrained) -> None:
    """Give a decoder the weights of the model's.

    Raises:
        InputError: they have other names or shapes.
    """
    try:
        decoder.load_state_dict(model.network.decoder.state_dict())
    except RuntimeError as error:
        raise InputError(f"the model to start from has another decoder: give the options of its config.json ({one_line(error)})") from error
