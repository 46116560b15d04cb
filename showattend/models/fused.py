"""Adapter between a decoder and the fused paths in `ops`: collects weights, callables and the shapes of a batch.

The fused paths know no model; this file is the only one that knows both. `Decoder` is complete without it.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from showattend.attention import AttentionCache
from showattend.ops.decoder_loop import FusedDecoderLoop
from showattend.ops.decoder_step import InferenceParts
from showattend.ops.unroll_plan import BatchShape, State, StepWeights, UnrollPlan

if TYPE_CHECKING:
    from showattend.models.decoder import Decoder


def supports_fused_loop(decoder: "Decoder") -> bool:
    """Whether attention and cell support the fused paths; they work in one precision, so not under autocast."""
    one_dtype = not torch.is_autocast_enabled(decoder.output.weight.device.type)
    return decoder.attention.supports_fused_loop and decoder.cell.supports_fused_loop and one_dtype


def step_weights(decoder: "Decoder") -> StepWeights:
    """The weights of one step, as they lie in the decoder."""
    attention, beta = decoder.attention.fused_parts(), decoder.beta
    weight, bias = decoder.cell.input_weight_and_bias()
    return StepWeights(
        energy=attention.energy_weight,
        query=attention.query_weight,
        beta=None if beta is None else beta.weight,
        beta_bias=None if beta is None else beta.bias,
        input=weight,
        bias=bias,
        hidden=decoder.cell.fused_step_parts()[1],
    )


def fused_loop(
    decoder: "Decoder", embeddings: Tensor, batch_shapes: list[BatchShape], state: State, cache: AttentionCache
) -> tuple[Tensor, Tensor, Tensor, None]:
    """The same as `Decoder._loop_autograd`."""
    images, rows = len(cache[0]), len(state[0]) // len(cache[0])
    kernels, (update, _) = decoder.attention.fused_parts().kernels, decoder.cell.fused_step_parts()
    plan, weights = UnrollPlan(update, kernels, len(state), images, rows, batch_shapes), step_weights(decoder)
    cell_params = [parameter for parameter in decoder.cell.parameters() if all(parameter is not weight for weight in weights)]
    h, contexts, alphas = FusedDecoderLoop.apply(plan, *cache, embeddings, *weights, *state, *cell_params)
    return h, contexts, alphas, None


def inference_parts(decoder: "Decoder") -> InferenceParts:
    """The parts of `ops.decoder_step.InferenceDecoder`."""
    deep, cell = decoder.config.deep_output, decoder.cell
    return InferenceParts(
        attention=decoder.attention.fused_parts(),
        weights=step_weights(decoder),
        update=cell.fused_step_parts()[0],
        project_embedding=lambda embeddings: cell.project(embeddings, 0),
        context_weight=cell.input_weight(1),
        embedding=decoder.embedding.weight,
        output_proj_h=(decoder.output_proj_h.weight, decoder.output_proj_h.bias) if deep else None,
        output_proj_context=decoder.output_proj_context.weight if deep else None,
        output=(decoder.output.weight, decoder.output.bias),
    )
