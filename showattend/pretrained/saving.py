"""Writes a model folder."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from showattend.console import encodable
from showattend.errors import InputError
from showattend.files import atomic_folder, sha256_of
from showattend.model_files import CARD, CHECKED, CONFIG, ENCODER_SPEC, FILES, METRICS, NEIGHBORS, WEIGHTS, save_vocabulary
from showattend.pretrained.card import model_card
from showattend.pretrained.folder import FORMAT, Pretrained, check_finite
from showattend.version import __version__


def save_pretrained(model: Pretrained, folder: Path) -> None:
    """Write a model folder, complete or not at all.

    Args:
        folder: must not exist yet, or be an older model, which is replaced; what else lies in the folder stays

    Raises:
        InputError: the place cannot be written to, or holds something else than a model, or a weight is not finite.
    """
    check_finite(model.network.state_dict(), folder)
    if folder.exists() and not (folder / CONFIG).exists():
        raise InputError(f"{folder} exists and is no model: choose another folder")
    with atomic_folder(folder, FILES) as temporary:
        _write(model, temporary)


def _write(model: Pretrained, folder: Path) -> None:
    _write_tensors(model.network.state_dict(), folder / WEIGHTS)
    if model.neighbors:
        _write_tensors(model.neighbors.tensors(), folder / NEIGHBORS)
    save_vocabulary(model.vocabulary, folder)
    if spec := model.network.encoder.spec():
        (folder / ENCODER_SPEC).write_text(json.dumps(spec) + "\n")
    config = {
        "format": FORMAT,
        "showattend": __version__,
        "encoder": asdict(model.network.encoder.config),
        "encoder_dim": model.network.encoder.channels,
        "vocabulary_size": len(model.vocabulary),
        "tokenizer": model.vocabulary.tokenizer,
        "trained_on": encodable(model.trained_on),  # a path may be no UTF-8
        "decoder": asdict(model.network.decoder.config),
        "preprocessing": asdict(model.preprocessing),
        "generation": asdict(model.generation),
        "sha256": {name: sha256_of(folder / name) for name in CHECKED if (folder / name).exists()},
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    (folder / METRICS).write_text(json.dumps(dict(model.metrics), indent=2) + "\n")
    (folder / CARD).write_text(model.card or model_card(model), encoding="utf-8", errors="backslashreplace")


def _write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:  # its text has the system's reason: a full disk, say
        raise InputError(f"cannot write {path.name}: {error}: free some space or choose another disk") from error
    path.chmod(0o644)  # safetensors writes for the owner alone
