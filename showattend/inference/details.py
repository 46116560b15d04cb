"""Probability, gates and sampled location at each word of a caption, from a second pass with the words given."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from showattend.attention import AttentionOutput
from showattend.cells import recording_gates
from showattend.inference.caption import Caption, for_numpy
from showattend.inference.gates import concatenate_steps
from showattend.models.decoder import Decoder
from showattend.models.inputs import Features
from showattend.pretrained import Pretrained


@dataclass
class _Recorded:
    """One entry for each step of a caption."""

    betas: list[Tensor] = field(default_factory=list)
    alphas: list[Tensor] = field(default_factory=list)
    locations: list[Tensor] = field(default_factory=list)


@torch.inference_mode()
def add_details(models: Sequence[Pretrained], features: Sequence[Features], caption: Caption, *, gates: bool = False) -> Caption:
    """A caption with `log_probs`, `betas`, `locations` and, where asked for, `gates`.

    Log-probabilities are those of the models' averaged probabilities; everything else is the first model's. Hard attention that
    samples draws its locations anew for this pass, so the alphas are those of this pass too.

    Args:
        models: the model, or all of an ensemble
        features: of the photo by each of them, (1,L,D)
    """
    model, words = models[0], len(caption.words)
    token_ids = torch.tensor(model.vocabulary.encode(caption.words), device=features[0].values.device)
    input_ids, target_ids = token_ids[:-1].view(1, 1, -1), token_ids[1:]
    with recording_gates(model.network) as layers, _recording(model.network.decoder) as recorded:
        outputs = [member.network(own, input_ids) for member, own in zip(models, features, strict=True)]
    members = torch.stack([output.logits.float().log_softmax(-1) for output in outputs])
    log_probs = (members.logsumexp(0) - math.log(len(models))).gather(-1, target_ids.unsqueeze(-1))[:, 0]
    caption = replace(
        caption,
        log_probs=log_probs.cpu(),
        betas=torch.cat(recorded.betas)[:words].cpu() if recorded.betas else None,
        gates=[{name: values[:words] for name, values in concatenate_steps(steps).items()} for steps in layers if gates],
    )
    if not recorded.locations:
        return caption
    alphas, locations = torch.cat(recorded.alphas)[:words], torch.cat(recorded.locations)[:words]
    return replace(caption, alphas=for_numpy(alphas), locations=locations.cpu())


@contextmanager
def _recording(decoder: Decoder) -> Iterator[_Recorded]:
    """Within this context, what the decoder's gate and attention return at every step of one row is recorded."""
    recorded = _Recorded()

    def record_beta(module: nn.Module, args: Any, output: Tensor) -> None:
        recorded.betas.append(torch.sigmoid(output.float()).mean(-1))

    def record_attention(module: nn.Module, args: Any, output: AttentionOutput) -> None:
        if output.location is not None:
            recorded.alphas.append(output.alpha.flatten(0, 1))
            recorded.locations.append(output.location.flatten())

    hooks = [decoder.attention.register_forward_hook(record_attention)]
    if decoder.beta is not None:
        hooks.append(decoder.beta.register_forward_hook(record_beta))
    use_fused_loop, decoder.use_fused_loop = decoder.use_fused_loop, False  # it calls neither module
    try:
        yield recorded
    finally:
        decoder.use_fused_loop = use_fused_loop
        for hook in hooks:
            hook.remove()
