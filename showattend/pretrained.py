"""A finished model as a folder that needs nothing else: weights, words, preprocessing, configuration, metrics, a model card."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from showattend.data.transforms import Preprocessing
from showattend.decoding import GenerationConfig
from showattend.encoders import EncoderConfig, rebuild_encoder
from showattend.errors import InputError
from showattend.files import writable
from showattend.models.caption_model import CaptionModel
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.registry import check_trusted
from showattend.version import __version__
from showattend.vocabulary import Vocabulary

FORMAT = 3
WEIGHTS, WORDS, CONFIG, METRICS, CARD = "model.safetensors", "vocabulary.json", "config.json", "metrics.json", "README.md"
ENCODER_SPEC = "encoder.json"  # where the encoder needs more than its configuration to be rebuilt


@dataclass(frozen=True)
class Pretrained:
    """All that a captioner is made of."""

    network: CaptionModel
    vocabulary: Vocabulary
    preprocessing: Preprocessing
    search: GenerationConfig  # how captions are searched for unless the caller says otherwise
    metrics: Mapping[str, float] = field(default_factory=dict)  # of the split that metrics.json names


def save_pretrained(model: Pretrained, folder: Path, *, trained_on: str = "") -> None:
    """Write a model folder, whole or not at all.

    Args:
        folder: must not exist yet, or be an older model, which is replaced
        trained_on: for the model card

    Raises:
        InputError: the place cannot be written to, or holds something else than a model.
    """
    if folder.exists() and not (folder / CONFIG).exists():
        raise InputError(f"{folder} exists and is no model: choose another folder")
    with writable(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        temporary.chmod(0o755)
    try:
        with writable(folder):
            _write(model, temporary, trained_on)
            if folder.exists():
                folder.rename(old := temporary.with_name(f"{temporary.name}-old"))
                temporary.rename(folder)
                shutil.rmtree(old)
            else:
                temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(model: Pretrained, folder: Path, trained_on: str) -> None:
    save_file({name: tensor.contiguous() for name, tensor in model.network.state_dict().items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes for the owner alone
    model.vocabulary.save(folder / WORDS)
    if spec := model.network.encoder.spec():
        (folder / ENCODER_SPEC).write_text(json.dumps(spec) + "\n")
    config = {
        "format": FORMAT,
        "showattend": __version__,
        "encoder": asdict(model.network.encoder.config),
        "encoder_dim": model.network.encoder.channels,
        "vocabulary_size": len(model.vocabulary),
        "decoder": asdict(model.network.decoder.config),
        "preprocessing": asdict(model.preprocessing),
        "search": asdict(model.search),
        "sha256": {name: _digest(folder / name) for name in (WEIGHTS, ENCODER_SPEC) if (folder / name).exists()},
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    (folder / METRICS).write_text(json.dumps(dict(model.metrics), indent=2) + "\n")
    (folder / CARD).write_text(_card(model, trained_on))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_pretrained(folder: Path, *, trust: Collection[str] = ()) -> Pretrained:
    """Read a model folder; the network comes back in eval mode.

    Args:
        trust: modules, or dotted paths, of the user's own cells, attentions and encoders that the folder may name

    Raises:
        InputError: a file is missing or damaged, the weights do not fit the configuration, or it names code that is not trusted.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no model folder at {folder}: give one that training has written, such as runs/NAME/model")
    for name in (CONFIG, WORDS):
        if not (folder / name).is_file():
            raise _lacks(folder, name)
    try:
        config = json.loads((folder / CONFIG).read_text())
        metrics = json.loads((folder / METRICS).read_text()) if (folder / METRICS).exists() else {}
        if config["format"] != FORMAT:
            raise InputError(
                f"{folder} has the model format {config['format']!r}, this version of showattend reads {FORMAT}: "
                "train it again, or use the version that wrote it"
            )
        state = load_file(_whole(folder, WEIGHTS, config))
        spec = json.loads(_whole(folder, ENCODER_SPEC, config).read_text()) if ENCODER_SPEC in config["sha256"] else {}
        network = _network(config, spec, state, trust)
        vocabulary = Vocabulary.load(folder / WORDS)
        model = Pretrained(network, vocabulary, Preprocessing(**config["preprocessing"]), _search(config["search"]), metrics)
        network.load_state_dict(state, assign=True)
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{folder / CONFIG} is damaged ({error!r}): copy the folder again, whole") from error
    except (SafetensorError, RuntimeError) as error:
        raise InputError(f"the weights in {folder} do not fit its config.json: {str(error).splitlines()[-1].strip()}") from error
    if len(vocabulary) != config["vocabulary_size"]:
        raise InputError(f"{folder / WORDS} is not the vocabulary that the model was trained with: copy the folder again, whole")
    network.eval().requires_grad_(False)
    return model


def _lacks(folder: Path, name: str) -> InputError:
    return InputError(f"the model {folder} lacks {name}: copy the folder again, whole")


def _whole(folder: Path, name: str, config: Mapping[str, Any]) -> Path:
    """The path of a file that is there, and is the one that was written."""
    if not (folder / name).is_file():
        raise _lacks(folder, name)
    if config["sha256"][name] != _digest(folder / name):
        raise InputError(f"{folder / name} is not the file that config.json was written for: copy the folder again, whole")
    return folder / name


class _SkipRandomInit(TorchFunctionMode):
    """Leave out what only draws: without numbers `normal_` does nothing, but imports torch's compiler for it, which takes a second."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (Tensor.normal_, nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        return function(*args, **(kwargs or {}))


@contextmanager
def empty_weights() -> Iterator[None]:
    """Build what gets its numbers from a file: no time goes into random ones."""
    with torch.device("meta"), _SkipRandomInit():
        yield


def _network(config: Mapping[str, Any], spec: Mapping[str, Any], state: Mapping[str, Tensor], trust: Collection[str]) -> CaptionModel:
    decoder = DecoderConfig(**config["decoder"])
    check_trusted("cell", decoder.cell, trust)
    check_trusted("attention", decoder.attention, trust)
    encoder_state = {name.removeprefix("encoder."): tensor for name, tensor in state.items() if name.startswith("encoder.")}
    with empty_weights():
        encoder = rebuild_encoder(EncoderConfig(**config["encoder"]), spec, encoder_state, trust=trust)
        sizes = {name: config[name] for name in ("vocabulary_size", "encoder_dim")}
        return CaptionModel(encoder, Decoder(decoder, **sizes))


def _search(saved: Mapping[str, Any]) -> GenerationConfig:
    """What JSON made of a search's tuples becomes tuples again."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()}
    return GenerationConfig(**values)


def _card(model: Pretrained, trained_on: str) -> str:
    encoder, decoder = model.network.encoder.config, model.network.decoder.config
    scores = "\n".join(f"| {name} | {value:.4f} |" for name, value in model.metrics.items())
    return f"""# A captioner that shows where it looked

Show, attend and tell (Xu et al. 2015) with the recurrent cell `{decoder.cell}` on annotations of `{encoder.name}`.
Made by showattend {__version__}.

- Trained on: {trained_on or "not recorded"}
- Words: {len(model.vocabulary)}; English, lower case, no punctuation
- Photos: {model.preprocessing.image_size} pixels square, `{model.preprocessing.resize}`
- Search: beam {model.search.beam}, length penalty {model.search.length_penalty}, at most {model.search.max_length} words

```python
from showattend import Captioner
print(Captioner.from_pretrained("this/folder").caption("photo.jpg"))
```

| metric (from 0 to 1) | value |
|---|---|
{scores or "| none measured | |"}

It says what its training photos made likely, and can be wrong about people, numbers and everything rare; do not rely
on it where that matters. The weights come under the terms of the photos, captions and pretrained encoder behind them.
"""
