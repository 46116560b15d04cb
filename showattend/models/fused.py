"""Adapter between a decoder and the fused paths in `ops`: collects weights, callables and the shapes of a batch.

The fused paths know no model; this file is the only one that knows both. `Decoder` is complete without it.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from showattend.attention import AttentionCache
from showattend.ops.decoder_loop import FusedDecoderLoop
from showattend.ops.decoder_step import InferenceParts
from showattend.ops.linear import product_dtype
from showattend.ops.unroll_plan import BatchShape, State, StepWeights, UnrollPlan, with_products_in

if TYPE_CHECKING:
    from showattend.models.decoder import Decoder


def supports_fused_loop(decoder: "Decoder") -> bool:
    """Whether attention and cell support the fused paths."""
    return decoder.attention.supports_fused_loop and decoder.cell.supports_fused_loop


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


def cell_update(decoder: "Decoder", dtype: torch.dtype) -> Callable[[Tensor, State], State]:
    """The cell's `update` or `step`, see `RecurrentCell.fused_step_parts`; products inside of `step` have operands of this precision."""
    update, hidden = decoder.cell.fused_step_parts()
    if hidden is not None or dtype.itemsize != 2:
        return update
    return with_products_in(dtype, decoder.output.weight.device.type, update)


def fused_loop(
    decoder: "Decoder", embeddings: Tensor, batch_shapes: list[BatchShape], state: State, cache: AttentionCache
) -> tuple[Tensor, Tensor, Tensor, None]:
    """The same as `Decoder._loop_autograd`."""
    images, rows, dtype = len(cache[0]), len(state[0]) // len(cache[0]), product_dtype(embeddings)
    kernels, update = decoder.attention.fused_parts().kernels, cell_update(decoder, dtype)
    plan, weights = UnrollPlan(update, kernels, len(state), dtype, images, rows, batch_shapes), step_weights(decoder)
    cell_params = [parameter for parameter in decoder.cell.parameters() if all(parameter is not weight for weight in weights)]
    h, contexts, alphas = FusedDecoderLoop.apply(plan, *cache, embeddings, *weights, *state, *cell_params)
    return h, contexts, alphas, None


def _project_embedding(decoder: "Decoder", dtype: torch.dtype, embeddings: Tensor) -> Tensor:
    """The embeddings' share of the pre-activations, by a product in this precision."""
    with torch.autocast(embeddings.device.type, dtype if dtype.itemsize == 2 else None, enabled=dtype.itemsize == 2, cache_enabled=False):
        return decoder.cell.project(embeddings, 0).to(embeddings.dtype)


def inference_parts(decoder: "Decoder", dtype: torch.dtype) -> InferenceParts:
    """The parts of `ops.decoder_step.InferenceDecoder` that multiplies in this precision."""
    deep, cell = decoder.config.deep_output, decoder.cell
    return InferenceParts(
        attention=decoder.attention.fused_parts(),
        weights=step_weights(decoder),
        update=cell_update(decoder, dtype),
        project_embedding=partial(_project_embedding, decoder, dtype),
        context_weight=cell.input_weight(1),
        embedding=decoder.embedding.weight,
        output_proj_h=(decoder.output_proj_h.weight, decoder.output_proj_h.bias) if deep else None,
        output_proj_context=decoder.output_proj_context.weight if deep else None,
        output=(decoder.output.weight, decoder.output.bias),
    )
