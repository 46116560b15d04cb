"""The cases of bench_decoder.py: problems that our decoder and the plain one both solve, with the check that they agree.

H = A = E = 512, V 10,000, L 196; soft attention, scalar gate, deep output.
"""

import argparse
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from bench_common import random_lengths
from torch import Tensor, nn
from torch.nn import functional as F

from showattend.cells import find_cell
from showattend.decoding import GenerationConfig
from showattend.models.caption_model import CaptionModel
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.models.inputs import Features
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split
from showattend.ops.cuda_graphs import GraphedInference, GraphedTraining
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.vocabulary import END, PAD, START

L, H, V, T, BEAM = 196, 512, 10_000, 20, 5
IMAGES, CAPTIONS, SEARCH_IMAGES = 8, 5, 64
# The baseline searches this many of the images; its time is scaled to all of them.
BASELINE_IMAGES = 2
PRECISIONS = {"32": None, "bf16": torch.bfloat16}
# A GPU gets this many times the images.
GPU_FACTOR = {"train": 2, "beam": 4, "memory": 1}


class Case(NamedTuple):
    """One row of the table."""

    kind: str  # train, beam or memory
    channels: int  # D
    images: int
    captions: int  # of an image
    int8: bool = False


CASES = {
    "train-d2048-same": Case("train", 2048, IMAGES * CAPTIONS, 1),
    "train-d2048-grouped": Case("train", 2048, IMAGES, CAPTIONS),
    "train-d512-grouped": Case("train", 512, IMAGES, CAPTIONS),
    "beam-d2048": Case("beam", 2048, SEARCH_IMAGES, BEAM),
    "beam-d512": Case("beam", 512, SEARCH_IMAGES, BEAM),
    "beam-d2048-int8": Case("beam", 2048, SEARCH_IMAGES, BEAM, int8=True),
    "memory-t20": Case("memory", 2048, IMAGES // 2, CAPTIONS),
}


# Ratios to be reached on one core, with products of bfloat16 on one with AMX.
TARGETS: dict[str, dict[str, float]] = {
    "32": {"train-d512-grouped": 9, "beam-d2048": 24, "beam-d512": 15, "beam-d2048-int8": 55},
    "bf16": {"train-d2048-same": 22, "train-d2048-grouped": 26, "train-d512-grouped": 13, "beam-d2048": 45, "beam-d512": 26},
}


class Comparison(NamedTuple):
    """One problem for our decoder and the baseline.

    ours, baseline: solve it once
    check: of both results, returns a note; raises AssertionError where they differ
    flops: floating-point operations of the matrix products that our decoder needs
    models: our decoder and the baseline
    scale: size of the whole problem in parts of the size that the baseline solves
    """

    ours: Callable[[], Any]
    baseline: Callable[[], Any]
    check: Callable[[Any, Any], str]
    flops: float
    models: tuple[nn.Module, nn.Module]
    scale: float = 1.0


def find_case(name: str, device: str) -> Case:
    """A row of the table at the device's size."""
    case = CASES[name]
    return case if device == "cpu" else case._replace(images=case.images * GPU_FACTOR[case.kind])


def make_comparison(case: Case, options: argparse.Namespace) -> Comparison:
    """The problem of a case of kind train or beam."""
    return search_comparison(case, options) if case.kind == "beam" else training_comparison(case, options)


def make_models(case: Case, options: argparse.Namespace) -> tuple[Decoder, nn.Module, Tensor]:
    """Both decoders, with equal weights where `is_comparable`, and encoder features (N,L,D)."""
    torch.manual_seed(options.seed)
    config = DecoderConfig(dropout=0.0, cell=options.cell, layers=find_cell(options.cell).min_layers)
    decoder = Decoder(config, vocabulary_size=V, encoder_dim=case.channels).to(options.device)
    decoder.attention.compile_kernels()
    module, name = options.baseline.split(":")
    baseline: nn.Module = getattr(importlib.import_module(module), name)(case.channels, H, H, H, V).to(options.device)
    if is_comparable(baseline, options):
        baseline.copy_weights_from(decoder)
    return decoder, baseline, torch.rand(case.images, L, case.channels, device=options.device)


def is_comparable(baseline: nn.Module, options: argparse.Namespace) -> bool:
    """Whether both can be the same model: the baseline can copy weights, and our cell is an LSTM too."""
    return options.cell == "lstm" and hasattr(baseline, "copy_weights_from")


def multiplications_per_token(decoder: Decoder, channels: int) -> int:
    """In the decoder's matrix products, without the attention's mean of the features."""
    return sum(p.numel() for p in decoder.cell.parameters() if p.dim() == 2) + 2 * H * H + H * channels + H * V


def random_captions(case: Case, *, full_length: bool) -> Tensor:
    """Token ids from `<start>` on, (N,G,T+1), the longest captions first as the data module sorts them."""
    lengths = random_lengths(case.images, case.captions)
    lengths[0, 0] = T
    lengths = torch.full_like(lengths, T) if full_length else lengths
    lengths = lengths.sort(1, descending=True).values
    lengths = lengths[lengths[:, 0].argsort(descending=True)].unsqueeze(-1)
    token_ids = torch.randint(4, V, (case.images, case.captions, T + 1))
    token_ids[..., 0] = START
    return token_ids * (torch.arange(T + 1) <= lengths)


def training_comparison(case: Case, options: argparse.Namespace, *, full_length: bool = False) -> Comparison:
    """One step of teacher forcing, forward and backward; with all captions of T tokens if `full_length`."""
    decoder, baseline, features = make_models(case, options)
    inputs, targets, mask = (part.to(options.device) for part in teacher_forcing_split(random_captions(case, full_length=full_length)))
    # Full-length steps measure memory and are not captured: a graph keeps its memory.
    static_shapes = options.device == "cuda" and not full_length
    mixed = {"dtype": PRECISIONS[options.precision], "enabled": options.precision != "32", "cache_enabled": not static_shapes}

    def loss_of(features: Tensor, inputs: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(options.device, **mixed):
            output = decoder(features, inputs, static_shapes=static_shapes)
            return (caption_loss(output.hidden, output.output, flatten_tokens(targets, None if static_shapes else mask)),)

    training_loss = GraphedTraining(decoder, loss_of) if static_shapes else loss_of

    def run_ours() -> Tensor:
        decoder.zero_grad()
        (loss,) = training_loss(features, inputs, targets)
        loss.backward()
        return loss

    def run_baseline() -> Tensor:
        baseline.zero_grad()
        logits, _ = baseline(features.repeat_interleave(case.captions, 0), inputs.flatten(0, 1))
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD)
        loss.backward()
        return loss

    def check(one: Tensor, other: Tensor) -> str:
        rounded = static_shapes or options.precision != "32"
        return check_training(decoder, baseline, one, other, rounded=rounded) if is_comparable(baseline, options) else "not compared"

    per_token = multiplications_per_token(decoder, case.channels) + 2 * L * case.channels
    # Three products each: forward, gradient of the weights, gradient of the inputs. The features need no gradient.
    flops = 2 * (3 * int(mask.sum()) * per_token + 2 * case.images * L * case.channels * H)
    return Comparison(run_ours, run_baseline, check, flops, (decoder, baseline))


def check_training(decoder: Decoder, baseline: nn.Module, one: Tensor, other: Tensor, *, rounded: bool) -> str:
    """Compare losses, and the gradients of three layers."""
    difference = abs(one.item() - other.item())
    layers = ((decoder.attention.key, baseline.key), (decoder.output, baseline.output), (decoder.embedding, baseline.embedding))
    worst = max(float((a.weight.grad - b.weight.grad).norm() / b.weight.grad.norm()) for a, b in layers)
    # TF32 keeps ten bits of a mantissa, bfloat16 seven.
    assert difference < (1e-2 if rounded else 1e-4), f"the losses differ by {difference}"
    assert worst < (5e-2 if rounded else 1e-3), f"the gradients differ by {worst:.1e} of their norm"
    return f"loss equal to {difference:.0e}, gradients to {worst:.0e}"


def search_comparison(case: Case, options: argparse.Namespace) -> Comparison:
    """Beam search for all images together; the baseline searches some of them one by one."""
    decoder, baseline, features = make_models(case, options)
    for model in (decoder, baseline):
        model.eval()
        with torch.no_grad():
            model.output.bias[END] = -100.0  # all captions have T tokens
    network = CaptionModel(nn.Identity(), decoder)  # type: ignore[arg-type]
    inference_decoder = network.inference_decoder(torch.int8 if case.int8 else PRECISIONS[options.precision])

    def search(features: Tensor) -> tuple[Tensor, ...]:
        return network.caption(Features(features), GenerationConfig(BEAM, T, 0.0), inference_decoder)

    graphed_search = GraphedInference(search) if options.device == "cuda" else search

    @torch.inference_mode()
    def run_ours() -> Tensor:
        return graphed_search(features)[0][:, 0]

    def run_baseline() -> list[list[int]]:
        return [baseline.caption(features[image : image + 1], BEAM, T) for image in range(BASELINE_IMAGES)]

    def check(ours: Tensor, theirs: list[list[int]]) -> str:
        if not is_comparable(baseline, options):
            return "not compared"
        equal = sum(one == other for one, other in zip(ours[:BASELINE_IMAGES].tolist(), theirs, strict=True))
        exact = not case.int8 and options.device == "cpu" and options.precision == "32"
        assert equal == BASELINE_IMAGES or not exact, f"only {equal} of {BASELINE_IMAGES} captions are equal"
        return f"{equal} of {BASELINE_IMAGES} captions equal"

    rows = case.images * (1 + BEAM * (T - 1))
    # The embeddings' share of the cell's input comes from a table.
    per_token = multiplications_per_token(decoder, case.channels) - decoder.cell.input_weight(0).numel() + L * case.channels
    flops = 2 * (rows * per_token + case.images * L * case.channels * H)
    return Comparison(run_ours, run_baseline, check, flops, (decoder, baseline), case.images / BASELINE_IMAGES)
