"""One run of a captioning study: train a decoder on cached features for a fixed number of steps, then score it on val, or test too.

It is a plain loop over the parts that `showattend fit` uses too. Lightning would take as long to start as some of these runs take.
"""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from showattend.cells import find_cell
from showattend.data.batches import Batch, TrainingBatches
from showattend.data.shapes import SIZE
from showattend.grounding import compare_with_scenes
from showattend.inference import Caption
from showattend.metrics import corpus_scores
from showattend.models.caption_model import CaptionModel
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.study.config import CaptionStudy
from showattend.study.material import Material
from showattend.study.trials import DivergedError
from showattend.training.losses import doubly_stochastic_penalty
from showattend.training.schedules import learning_rate_factor
from showattend.training.weight_decay import parameter_groups
from showattend.vocabulary import PAD

SCORE_BATCH = 100


def run_trial(
    config: CaptionStudy, material: Material, cell: str, params: dict[str, float], seed: int, splits: Sequence[str]
) -> dict[str, Any]:
    """Train one decoder, and score it on some splits.

    Args:
        params: learning_rate, dropout, clip and hidden_size; the latter is the cell's own

    Returns:
        for each split, such as val: val_nll in nats per token, val_bleu4 and val_cider_d as `corpus_scores`, and val_pointing where the
        scenes are known; the digests of encoder and data; parameters of the recurrence and of the decoder; processor seconds_a_step

    Raises:
        DivergedError: loss or gradient is no longer finite.
        InputError: the cell refuses the hidden size.
    """
    torch.manual_seed(seed)
    decoder = _make_decoder(config, material, cell, params)
    seconds = train_decoder(decoder, config, material, params, seed)
    values: dict[str, Any] = {
        **material.digests,
        "hidden_size": int(params["hidden_size"]),
        "cell_parameters": sum(parameter.numel() for parameter in decoder.cell.parameters()),
        "parameters": sum(parameter.numel() for parameter in decoder.parameters()),
        "seconds_a_step": round(seconds / config.training.steps, 6),
    }
    for split in splits:
        values |= {f"{split}_{name}": value for name, value in score_decoder(decoder, config, material, split).items()}
    return values


def _make_decoder(config: CaptionStudy, material: Material, cell: str, params: dict[str, float]) -> Decoder:
    options = {"cell": cell, "layers": find_cell(cell).min_layers, "hidden_size": int(params["hidden_size"]), "dropout": params["dropout"]}
    return Decoder(
        DecoderConfig(**{**config.decoder, **options}),
        vocabulary_size=len(material.vocabulary),
        encoder_dim=material.encoder.channels,
    )


def train_decoder(decoder: Decoder, config: CaptionStudy, material: Material, params: dict[str, float], seed: int) -> float:
    """Teacher forcing with AdamW.

    Returns:
        processor seconds that the steps took

    Raises:
        DivergedError: loss or gradient is no longer finite.
    """
    training = config.training
    optimizer = torch.optim.AdamW(parameter_groups(decoder, training.weight_decay), lr=params["learning_rate"], fused=True)
    batches = _batches(material, config.data.batch_size, seed)
    decoder.train()
    started = time.process_time()
    for step in range(training.steps):
        factor = learning_rate_factor("cosine", training.warmup, step, training.steps)
        for group in optimizer.param_groups:
            group["lr"] = params["learning_rate"] * factor
        optimizer.zero_grad()
        loss = _loss(decoder, next(batches), config)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(decoder.parameters(), params["clip"])
        if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
            raise DivergedError(f"loss {loss.item():.3g} and norm of the gradient {norm.item():.3g} at step {step + 1}")
        optimizer.step()
    return time.process_time() - started


def _batches(material: Material, batch_size: int, seed: int) -> Iterator[Batch]:
    """Batches of the training split, epoch after epoch."""
    dataset = material.datasets["train"]
    sampler = TrainingBatches([[(photo, None) for photo in range(len(dataset))]], batch_size, seed)
    while True:
        for keys in sampler:
            yield dataset.collate([dataset[key] for key in keys])
        sampler.set_epoch(sampler.epoch + 1)


def _loss(decoder: Decoder, batch: Batch, config: CaptionStudy) -> Tensor:
    input_ids, target_ids, mask = teacher_forcing_split(batch.token_ids)
    output = decoder(batch.photos.values.to(decoder.output.weight.dtype), input_ids)
    loss = caption_loss(output.hidden, output.output, flatten_tokens(target_ids, mask), label_smoothing=config.training.label_smoothing)
    if config.training.penalty:
        loss = loss + config.training.penalty * doubly_stochastic_penalty(output.alphas, mask)
    return loss


@torch.inference_mode()
def score_decoder(decoder: Decoder, config: CaptionStudy, material: Material, split: str) -> dict[str, float]:
    """Negative log-likelihood of the references, metrics of generated captions, and pointing accuracy where the scenes are known."""
    decoder.eval()
    model = CaptionModel(material.encoder, decoder).eval()
    inference_decoder = model.inference_decoder()
    dataset, captions, tokens, total = material.datasets[split], {}, 0, 0.0
    for begin in range(0, len(dataset), SCORE_BATCH):
        batch = dataset.collate([dataset[photo] for photo in range(begin, min(begin + SCORE_BATCH, len(dataset)))])
        input_ids, target_ids, mask = teacher_forcing_split(batch.token_ids)
        output = model(batch.photos, input_ids)
        count = int(mask.sum())
        total += caption_loss(output.hidden, output.output, flatten_tokens(target_ids, mask)).item() * count
        tokens += count
        found = model.caption(batch.photos, config.generation, inference_decoder)
        for photo, token_ids, alphas in zip(batch.ids, found.token_ids[:, 0], found.alphas[:, 0], strict=True):
            captions[photo] = _caption(material, token_ids, alphas)
    references = dict(zip(dataset.ids, dataset.references, strict=True))
    scores = corpus_scores({photo: caption.words for photo, caption in captions.items()}, references)
    values = {"nll": total / tokens, "bleu4": scores["bleu4"], "cider_d": scores["cider_d"]}
    if material.scenes is not None:
        values["pointing"] = compare_with_scenes({str(photo): caption for photo, caption in captions.items()}, material.scenes).pointing
    return values


def _caption(material: Material, token_ids: Tensor, alphas: Tensor) -> Caption:
    """A generated caption with its attention on the square grid of the encoder, in the pixels of a picture of shapes."""
    words = material.vocabulary.decode(token_ids[token_ids != PAD].tolist())
    side = math.isqrt(alphas.shape[-1])
    crop_box = material.preprocessing.crop_box(SIZE, SIZE)
    image_size = material.preprocessing.image_size
    grid_box = material.encoder.geometry_at(image_size).grid_box((side, side), image_size, crop_box)
    return Caption(words, 0.0, alphas[: len(words)], (side, side), crop_box, grid_box)
