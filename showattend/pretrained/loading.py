"""Reads a model folder that is not trusted: every value is checked before anything is built from it."""

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from showattend.attention.base import attentions
from showattend.cells.registry import cells
from showattend.config_checks import check_range, check_types, from_mapping
from showattend.data.json_files import read_json
from showattend.encoders import rebuild_encoder
from showattend.errors import InputError, one_line
from showattend.files import sha256_of
from showattend.model_files import (
    A_MODEL,
    CARD,
    CONFIG,
    COPY_AGAIN,
    ENCODER_SPEC,
    METRICS,
    NEIGHBORS,
    SUBWORDS,
    VOCABULARY,
    WEIGHTS,
    check_not_mirrored,
    read_subwords,
    read_vocabulary,
)
from showattend.models.caption_model import CaptionModel
from showattend.models.decoder import Decoder
from showattend.pretrained.folder import FORMAT, FolderConfig, Pretrained, check_finite
from showattend.pretrained.hub import find_model_folder
from showattend.pretrained.neighbors import neighbors_from_tensors
from showattend.vocabulary import BPE, Vocabulary

MAX_SIZE = 2**16  # of a layer
MAX_CARD = 2**20  # characters
FLOATS = torch.float32, torch.float64, torch.float16, torch.bfloat16


def load_pretrained(folder: Path, *, trust: Collection[str] = ()) -> Pretrained:
    """Read a model folder; the network comes back in eval mode.

    Args:
        folder: a local one, or the name of one on the Hugging Face Hub, see `find_model_folder`
        trust: modules, or dotted paths, of the user's own cells, attentions and encoders that the folder may name

    Raises:
        InputError: a file is missing or damaged, a value is not valid, the weights do not fit the configuration or are not finite, or
            it names code that is not trusted.
    """
    folder = _find_folder(folder)
    config = _read_config(folder)
    state = _read_tensors(folder, WEIGHTS, config)
    _check_limits(config, state, folder)
    spec = read_json(_unchanged(folder, ENCODER_SPEC, config)) if ENCODER_SPEC in config.sha256 else {}
    vocabulary = _read_vocabulary(folder, config)
    network = _build_network(config, spec, state, trust, folder)
    check_finite(state, folder)
    network.eval().requires_grad_(False)
    neighbors = None
    if NEIGHBORS in config.sha256:
        neighbors = neighbors_from_tensors(_read_tensors(folder, NEIGHBORS, config), config, folder / NEIGHBORS)
    metrics, card = _read_metrics(folder), _read_card(folder)
    return Pretrained(network, vocabulary, config.preprocessing, config.generation, metrics, config.trained_on, neighbors, card)


def read_word_tokenizer(folder: Path) -> str:
    """The name of the tokeniser that splits captions into the words of a model's training.

    Raises:
        InputError: there is no model folder, or its configuration is damaged.
    """
    folder = _find_folder(folder)
    config = _read_config(folder)
    _check_subwords(folder, config)
    subwords = read_subwords(folder, config.tokenizer)
    return subwords.words if subwords else config.tokenizer


def _find_folder(model: Path) -> Path:
    """The folder of a model; for what holds one, as a run's folder does, the error says where it is."""
    folder = find_model_folder(model)
    if (folder / WEIGHTS).exists() or (folder / CONFIG).exists():
        return folder
    near = [folder / "model", folder / "run" / "model", folder.parent / "model", folder.parent.parent / "model"]
    known = next((str(place) for place in near if (place / CONFIG).is_file()), A_MODEL)
    raise InputError(f"{folder} is no model folder: give {known}" if folder.exists() else f"no model folder at {folder}: give {known}")


def _read_config(folder: Path) -> FolderConfig:
    content = read_json(_existing(folder, CONFIG))
    if not isinstance(content, dict):
        raise InputError(f"{folder / CONFIG} is no configuration of a model: {COPY_AGAIN}")
    if content.get("format") != FORMAT:
        raise InputError(
            f"{folder} has the model format {str(content.get('format'))[:20]}, this version of showattend reads {FORMAT}: "
            "train the model again, or use the version of showattend that wrote it"
        )
    try:
        config = from_mapping(FolderConfig, content, section=CONFIG)
        for part in (config, config.encoder, config.decoder, config.preprocessing, config.generation):
            check_types(part)
    except TypeError as error:
        raise InputError(f"{folder / CONFIG} is damaged ({error}): {COPY_AGAIN}") from error
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    return config


def _check_limits(config: FolderConfig, state: Mapping[str, Tensor], folder: Path) -> None:
    """Refuse sizes that would take far more memory or time than the weights need."""
    decoder, generation = config.decoder, config.generation
    largest = max((max(tensor.shape, default=0) for tensor in state.values()), default=0)
    try:
        check_range(config, "encoder_dim", "vocabulary_size", minimum=1, maximum=largest)
        check_range(decoder, "layers", "init_layers", maximum=len(state))
        check_range(decoder, "embedding_size", "hidden_size", "attention_size", "projection_dim", maximum=MAX_SIZE)
        check_not_mirrored(config.preprocessing)
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}") from error
    for options in (decoder.cell_options, decoder.attention_options):
        _check_options(options or {}, len(state), folder)
    for token_id in (*generation.ban, *generation.must_include):
        if not 0 <= token_id < config.vocabulary_size:
            raise InputError(f"{folder / CONFIG}: {token_id} is no token id of a vocabulary of {config.vocabulary_size}")


def _check_options(options: Mapping[str, Any], tensors: int, folder: Path) -> None:
    """Bound the numbers in the options of a cell or an attention; those of layers by the number of tensors that there are."""
    for name, value in options.items():
        limit = tensors if "layers" in name else MAX_SIZE
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, list | dict) or (isinstance(number, int | float) and not abs(number) <= limit):
                raise InputError(f"{folder / CONFIG}: the option {name[:40]} is no name and no number up to {limit}")


def _read_tensors(folder: Path, name: str, config: FolderConfig) -> dict[str, Tensor]:
    try:
        return load_file(_unchanged(folder, name, config))
    except (SafetensorError, RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the tensors in {folder / name} are damaged ({one_line(error)}): {COPY_AGAIN}") from error


def _read_vocabulary(folder: Path, config: FolderConfig) -> Vocabulary:
    _existing(folder, VOCABULARY)
    if VOCABULARY in config.sha256:  # folders of earlier versions hold no digest of it
        _unchanged(folder, VOCABULARY, config)
    _check_subwords(folder, config)
    vocabulary = read_vocabulary(folder, config.tokenizer)
    if len(vocabulary) != config.vocabulary_size:
        raise InputError(f"{folder / VOCABULARY} is not the vocabulary that the model was trained with: {COPY_AGAIN}")
    return vocabulary


def _check_subwords(folder: Path, config: FolderConfig) -> None:
    """Refuse merges that are missing or are not those that config.json was written for; a vocabulary of words has none."""
    if config.tokenizer == BPE:
        _unchanged(folder, SUBWORDS, config)


def _read_metrics(folder: Path) -> dict[str, float]:
    if not (folder / METRICS).exists():
        return {}
    metrics = read_json(_existing(folder, METRICS))
    # Whole numbers may be larger than any float, which math.isfinite cannot take.
    if not isinstance(metrics, dict) or not all(type(x) in (int, float) and abs(x) <= sys.float_info.max for x in metrics.values()):
        raise InputError(f"{folder / METRICS} is no JSON object of finite numbers: {COPY_AGAIN}, or delete this file")
    return metrics


def _read_card(folder: Path) -> str:
    """The card, as far as a card may be long; a folder needs none."""
    if not (folder / CARD).is_file():  # a pipe would never end
        return ""
    try:
        with (folder / CARD).open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_CARD)
    except OSError:
        return ""


def _existing(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        problem = f"has a {name} that is no regular file" if (folder / name).exists() else f"lacks {name}"
        raise InputError(f"the model {folder} {problem}: {COPY_AGAIN}")
    return folder / name


def _unchanged(folder: Path, name: str, config: FolderConfig) -> Path:
    """The path of a file that exists and has the content that config.json was written for."""
    if config.sha256.get(name) != sha256_of(_existing(folder, name)):
        raise InputError(f"{folder / name} is not the file that config.json was written for: {COPY_AGAIN}")
    return folder / name


class _SkipRandomInit(TorchFunctionMode):
    """Skip `normal_`: without values it does nothing, but imports torch's compiler for that, which takes a second."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (Tensor.normal_, nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        return function(*args, **(kwargs or {}))


@contextmanager
def empty_weights() -> Iterator[None]:
    """Build modules without values for their weights, which come from a file: no memory, no random numbers."""
    with torch.device("meta"), _SkipRandomInit():
        yield


def _build_network(
    config: FolderConfig, spec: Mapping[str, Any], state: Mapping[str, Tensor], trust: Collection[str], folder: Path
) -> CaptionModel:
    cells.find(config.decoder.cell, trusted=trust)
    attentions.find(config.decoder.attention, trusted=trust)
    encoder_state = {name.removeprefix("encoder."): tensor for name, tensor in state.items() if name.startswith("encoder.")}
    own_parts = any(":" in name for name in (config.encoder.name, config.decoder.cell, config.decoder.attention))
    try:
        # The user's own parts may compute tensors of theirs that are no weights.
        with torch.random.fork_rng(devices=[]) if own_parts else empty_weights():
            encoder = rebuild_encoder(config.encoder, spec, encoder_state, trust=trust)
            sizes = {"vocabulary_size": config.vocabulary_size, "encoder_dim": config.encoder_dim}
            network = CaptionModel(encoder, Decoder(config.decoder, **sizes))
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"no network can be built from {folder / CONFIG} ({one_line(error)}): {COPY_AGAIN}") from error
    if encoder.channels != config.encoder_dim:
        raise InputError(f"{folder / CONFIG}: encoder_dim is {config.encoder_dim}, the encoder has {encoder.channels} channels")
    _check_weights_fit(network.state_dict(), state, folder)
    network.load_state_dict(dict(state), assign=True)
    return network


def _check_weights_fit(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], folder: Path) -> None:
    """Names and shapes must be equal, and all floating-point weights of encoder and of decoder of one precision."""
    dtypes: dict[str, torch.dtype] = {}
    for name in [*expected, *state]:
        if name not in expected or name not in state:
            raise InputError(f"the weights in {folder} do not fit its config.json: '{name}' is only in one of the two")
        a, b = expected[name], state[name]
        dtype = dtypes.setdefault(name.partition(".")[0], b.dtype) if b.dtype in FLOATS else a.dtype
        if a.shape != b.shape or a.is_floating_point() != b.is_floating_point() or b.dtype != dtype:
            described = " and ".join(f"{tuple(each.shape)} {str(each.dtype).removeprefix('torch.')}" for each in (a, b))
            raise InputError(f"the weights in {folder} do not fit its config.json: '{name}' is {described}")
