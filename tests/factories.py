"""Small models, inputs and oracles that several test modules share."""

import itertools
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from showattend.attention import Attention, AttentionCache, AttentionOutput, DecoderContext
from showattend.cells import RecurrentCell, Stack, find_cell, make_cell
from showattend.config_checks import from_mapping
from showattend.data.transforms import Preprocessing
from showattend.decoding import GenerationConfig, State
from showattend.encoders import EncoderConfig, make_encoder
from showattend.files import sha256_of
from showattend.models.caption_model import CaptionModel
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.pretrained import Pretrained
from showattend.training.captioner import LitCaptioner
from showattend.training.config import CaptionerConfig
from showattend.training.datamodule import CaptionDataModule
from showattend.training.run_config import DataConfig
from showattend.vocabulary import END, FORBIDDEN_IDS, PAD, START, Vocabulary

# A decoder: photos, captions a photo, words, locations, channels, vocabulary.
N, G, T, L, D, V = 3, 4, 6, 5, 7, 11
# A cell: rows, hidden units, sizes of the input's parts.
BATCH, HIDDEN, PARTS = 3, 4, (5, 2)
# A language small enough to count all of its captions.
WORDS, LOCATIONS, LENGTH = 7, 3, 4
VOCABULARY = Vocabulary.build([["a", "red", "star"]])
SEARCHES = {
    "greedy": GenerationConfig(1, 6),
    "beam": GenerationConfig(3, 6, 0.7),
    "several": GenerationConfig(4, 6, num_captions=3),
    "length": GenerationConfig(3, 6, min_length=3, no_repeat_ngram=2),
    "words": GenerationConfig(3, 6, ban=(5, 6), must_include=(7, 8)),
    "groups": GenerationConfig(4, 6, groups=2, diversity=0.7, num_captions=2),
    "consensus": GenerationConfig(4, 6, consensus=True, num_captions=2),
    "information": GenerationConfig(4, 6, 0.7, mutual_information=0.4, num_captions=2),
    "sample": GenerationConfig(1, 6, num_captions=3, sample=True, temperature=1.3, top_k=6, top_p=0.9, seed=3),
}


def make_decoder(**options: object) -> Decoder:
    sizes = {"embedding_size": 6, "hidden_size": 8, "attention_size": 9, "dropout": 0.5}
    sizes["layers"] = find_cell(str(options.get("cell", "lstm"))).min_layers
    return Decoder(DecoderConfig(**{**sizes, **options}), vocabulary_size=V, encoder_dim=D).double().eval()  # type: ignore[arg-type]


def random_features() -> Tensor:
    return torch.randn(N, L, D).double()


def random_captions() -> Tensor:
    """Of every length from 0 to T, the longest of a photo not always first."""
    words = torch.randint(4, V, (N, G, T))
    lengths = torch.tensor([[6, 2, 1, 4], [3, 3, 5, 0], [1, 0, 0, 2]])
    return words * (torch.arange(T) < lengths.unsqueeze(-1))


def random_photos(count: int = 2, size: int = 224) -> torch.Tensor:
    return torch.randint(256, (count, 3, size, size), dtype=torch.uint8)


def untrained_model(encoder: str = "tiny", cell: str = "lstm", attention: str = "soft") -> Pretrained:
    encoder_module = make_encoder(EncoderConfig(encoder, "none"))
    sizes = {"embedding_size": 8, "hidden_size": 8, "attention_size": 8}
    config = DecoderConfig(**sizes, cell=cell, attention=attention, layers=find_cell(cell).min_layers)
    return Pretrained(
        CaptionModel(encoder_module, Decoder(config, vocabulary_size=len(VOCABULARY), encoder_dim=encoder_module.channels)).eval(),
        VOCABULARY,
        Preprocessing(64, "crop"),
        GenerationConfig(2, 6, 0.5),
        {"val_bleu4": 0.5},
    )


def rewrite_vocabulary(model: Path, tokens: list[str]) -> None:
    """Give a model folder other tokens, as a stranger could: with the digest that fits them."""
    (model / "vocabulary.json").write_text(json.dumps(tokens))
    rehash(model, "vocabulary.json")


def rehash(model: Path, name: str) -> None:
    """Give config.json of a model folder the digest of a file as it is now."""
    config = json.loads((model / "config.json").read_text())
    config["sha256"][name] = sha256_of(model / name)
    (model / "config.json").write_text(json.dumps(config))


def random_cell(name: str, layers: int | None = None, **options: object) -> RecurrentCell | Stack:
    """A cell in double precision, every tensor of it random, normalisers' statistics too."""
    if name == "clockwork":
        options.setdefault("periods", (1, 2))
    cell = make_cell(name, PARTS, HIDDEN, layers=layers or find_cell(name).min_layers, options=options).double().eval()
    with torch.no_grad():
        for value in cell.parameters():
            value.copy_(torch.randn_like(value) / 2)
        for key, value in cell.named_buffers():
            if key.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif key.endswith("running_mean"):
                value.normal_()
    return cell


class FirstLocation(Attention):
    """An attention of a user's own: always the first location."""

    def precompute(self, features: Tensor) -> AttentionCache:
        return (features,)

    def forward(self, cache: AttentionCache, query: DecoderContext) -> AttentionOutput:
        (features,) = cache
        alpha = torch.nn.functional.one_hot(torch.zeros(query.h.shape[:2], dtype=torch.long), features.shape[1]).to(features)
        return AttentionOutput(alpha @ features, alpha)


class ClockCell(RecurrentCell):
    """A cell of a user's own whose state is more than vectors: a clock for each row, and an H by H matrix."""

    gates = ("g",)
    state_names = ("h", "clock", "memory")

    def initial_state(self, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        return h, torch.zeros_like(h[:, 0]), h.unsqueeze(1) * c.unsqueeze(2)

    def step(self, projected: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        h, clock, memory = state
        h = torch.tanh(projected + h @ self.weight_hh.t() + (memory @ h.unsqueeze(2)).squeeze(2) * torch.cos(clock).unsqueeze(1))
        return h, clock + 1, 0.5 * memory + h.unsqueeze(1) * h.unsqueeze(2)


def random_state(cell: RecurrentCell | Stack, rows: int = BATCH) -> tuple[Tensor, ...]:
    """A state as after some steps: the initial one, then two steps on random input."""
    h, c = (torch.rand(rows, cell.initial_size).double() - 0.5 for _ in range(2))
    return tuple(entry.detach() for entry in unroll(cell, random_inputs(2)[:, :rows], cell.initial_state(h, c))[-1])


def random_inputs(steps: int = 5) -> Tensor:
    return torch.randn(steps, BATCH, sum(PARTS)).double()


def projected(cell: RecurrentCell | Stack, x: Tensor) -> Tensor:
    first, second = x.split(PARTS, -1)
    return cell.project(first, 0) + cell.project(second, 1)


def unroll(cell: RecurrentCell | Stack, xs: Tensor, state: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
    """The states after each input of xs, (T,B,I)."""
    states = []
    for x in xs:
        state = cell.step(projected(cell, x), state)
        states.append(state)
    return states


class Forgetful(RecurrentCell):
    """min_gru with z = 1: h depends on the current input alone."""

    gates = ("h~",)
    recurrent = ()

    def step(self, projected: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (projected,)


class Integrator(RecurrentCell):
    """A cell wired to remember: h sums all inputs for ever, so that dh_T/dh_t is the identity at every distance."""

    gates = ("g",)
    recurrent = ()

    def step(self, projected: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (state[0] + projected,)


class FirstAndLast(RecurrentCell):
    """A cell wired for temporal order: of the first two inputs, the signals, it keeps the first that came and the last."""

    gates = ("x",)
    recurrent = ()

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.weight_ih.requires_grad_(False).copy_(torch.eye(hidden_size, sum(input_sizes)))
        self.bias.requires_grad_(False).zero_()

    def step(self, projected: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        signal, (first, last, rest) = projected[:, :2], state[0].tensor_split((2, 4), -1)
        seen = first.sum(-1, keepdim=True)
        came = signal.sum(-1, keepdim=True)
        return (torch.cat((first + (1 - seen) * signal, (1 - came) * last + came * signal, rest), -1),)


class TinyLanguage:
    """Next-word probabilities that depend on the photo and on all words so far, through a state that mixes them."""

    def __init__(self, photos: int, seed: int = 0, end_bias: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.start = torch.randn(photos, 5, generator=generator)
        self.mix = torch.randn(5, 5, generator=generator)
        self.input_weight = torch.randn(WORDS, 5, generator=generator)
        self.output_weight = 2 * torch.randn(5, WORDS, generator=generator)
        self.bias = torch.zeros(WORDS)
        self.bias[END] = end_bias

    def step(self, words: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
        h = torch.tanh(state[0] @ self.mix + self.input_weight[words])
        return (h @ self.output_weight + self.bias).log_softmax(-1), (h,), h[:, :LOCATIONS].softmax(-1)

    def log_prob(self, photo: int, words: tuple[int, ...]) -> float:
        state: State = (self.start[photo : photo + 1],)
        total, last = 0.0, START
        for word in words:
            log_probs, state, _ = self.step(torch.tensor([last]), state)
            total, last = total + log_probs[0, word].item(), word
        return total


def all_captions() -> list[tuple[int, ...]]:
    """All captions that end within LENGTH words."""
    allowed = [word for word in range(WORDS) if word not in (*FORBIDDEN_IDS, END)]
    return [(*words, END) for length in range(LENGTH) for words in itertools.product(allowed, repeat=length)]


def without_padding(words: Tensor) -> tuple[int, ...]:
    return tuple(word for word in words.tolist() if word != PAD)


def chi_squared_p(counts: Tensor, expected: Tensor) -> float:
    """The probability of counts as far from the expected ones, or farther; what is expected less than five times is one class."""
    common = expected >= 5
    observed = torch.cat((counts[common], counts[~common].sum().view(1)))
    expected = torch.cat((expected[common], expected[~common].sum().view(1)))
    statistic = ((observed - expected).square() / expected.clamp(min=0.5)).sum()
    return float(torch.special.gammaincc(common.sum() / 2, statistic / 2))


# Sizes for trainings of seconds.
SMALL_CAPTIONER: dict[str, dict[str, object]] = {
    "encoder": {"name": "tiny", "weights": "none"},
    "preprocessing": {"image_size": 64},
    "decoder": {"embedding_size": 32, "hidden_size": 64, "attention_size": 32},
}
QUIET_TRAINER: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
    "num_sanity_val_steps": 0,
}


def small_config(**sections: object) -> CaptionerConfig:
    """A small captioner's configuration; each section's options are added to those of SMALL_CAPTIONER."""
    merged: dict[str, object] = {name: {**SMALL_CAPTIONER.get(name, {}), **options} for name, options in sections.items()}  # type: ignore[dict-item]
    return from_mapping(CaptionerConfig, {**SMALL_CAPTIONER, **merged})


def fit_captioner(
    shapes: Path,
    cache: Path,
    *,
    data: dict[str, object] | None = None,
    trainer: dict[str, object] | None = None,
    steps: int = 3,
    **sections: object,
) -> LitCaptioner:
    """A captioner after some training steps on shapes."""
    lightning.seed_everything(0, verbose=False)
    options = {"root": shapes, "min_count": 1, "cache_dir": cache, "num_workers": 0, "batch_size": 8, **(data or {})}
    module = CaptionDataModule(from_mapping(DataConfig, options))
    model = LitCaptioner(module.vocabulary, small_config(**sections))
    lightning.Trainer(max_steps=steps, **{**QUIET_TRAINER, "limit_val_batches": 0, **(trainer or {})}).fit(model, module)
    return model


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[Any]", seconds: float = 200) -> None:
    """Wait until something is so; fail where a process ends before, or after so many seconds, and end the process then."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise AssertionError(f"{process.args} ended with {process.wait()} before that")
        time.sleep(0.05)
