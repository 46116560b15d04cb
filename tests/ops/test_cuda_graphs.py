"""CUDA graphs: without a GPU, that a training step and a search can be captured; with one, that replays give the same results."""

import contextlib
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from factories import SEARCHES, make_decoder, random_captions, random_features
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from showattend.cells import cell_names
from showattend.decoding import GenerationConfig
from showattend.models.caption_model import CaptionModel
from showattend.models.decoder import Decoder
from showattend.models.inputs import Features
from showattend.models.teacher_forcing import flatten_tokens
from showattend.ops.cuda_graphs import GraphedInference, GraphedTraining, compiling, is_capturing
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.training.losses import doubly_stochastic_penalty
from showattend.vocabulary import PAD

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
DETERMINISTIC_SEARCHES = [search for search in SEARCHES.values() if not (search.sample or search.consensus)]


def random_targets(input_ids: Tensor) -> Tensor:
    """Other token ids, padded where the inputs are."""
    return torch.where(input_ids != PAD, input_ids.flip(-1).clamp(min=4), PAD)


def training_losses(
    decoder: Decoder, features: Tensor, input_ids: Tensor, targets: Tensor, *, static_shapes: bool
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and doubly stochastic penalty."""
    output = decoder(features, input_ids, static_shapes=static_shapes)
    mask = targets != PAD
    loss = caption_loss(output.hidden, output.output, flatten_tokens(targets, None if static_shapes else mask))
    return loss, doubly_stochastic_penalty(output.alphas, mask)


@pytest.mark.parametrize("use_fused_loop", [True, False])
@pytest.mark.parametrize("cell", cell_names())
def test_static_shapes_change_neither_losses_nor_gradients(cell: str, use_fused_loop: bool) -> None:
    decoder, input_ids, features = make_decoder(cell=cell, dropout=0.0), random_captions(), random_features()
    decoder.use_fused_loop = use_fused_loop
    results = []
    for static_shapes in (True, False):
        leaf = features.clone().requires_grad_()
        losses = training_losses(decoder, leaf, input_ids, random_targets(input_ids), static_shapes=static_shapes)
        results.append([*losses, *torch.autograd.grad(sum(losses), [leaf, *decoder.parameters()], allow_unused=True)])
    for one, other in zip(*results, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, atol=1e-10)


class OnlyMetaTensors(TorchDispatchMode):
    """Fails when an operator has a tensor outside the meta device. Reading a value of a meta tensor fails by itself."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None) -> object:  # noqa: ANN001
        result = function(*args, **(kwargs or {}))
        devices = {entry.device.type for entry in tree_leaves((args, kwargs, result)) if isinstance(entry, Tensor)}
        assert devices <= {"meta"}, f"{function} works on {devices}"
        return result


@pytest.fixture
def capturing_on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device in the place of a GPU that captures; it has no autocast."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr("showattend.decoding.generation.is_capturing", lambda device: True)


@pytest.mark.usefixtures("capturing_on_meta")
@pytest.mark.parametrize("cell", cell_names())
def test_a_training_step_can_be_captured_because_it_reads_no_value(cell: str) -> None:
    decoder = make_decoder(cell=cell, dropout=0.0).train().to("meta")
    input_ids, features = random_captions().to("meta"), random_features().to("meta").requires_grad_()
    with OnlyMetaTensors():
        loss, penalty = training_losses(decoder, features, input_ids, input_ids, static_shapes=True)
        (loss + penalty).backward()
    assert loss.shape == penalty.shape == ()
    assert features.grad is not None
    assert features.grad.is_meta


@pytest.mark.usefixtures("capturing_on_meta")
@pytest.mark.parametrize("search", DETERMINISTIC_SEARCHES, ids=str)
def test_a_search_can_be_captured_because_it_reads_no_value(search: GenerationConfig) -> None:
    network = CaptionModel(nn.Identity(), make_decoder().to("meta"))  # type: ignore[arg-type]
    inference_decoder, features = network.inference_decoder(), Features(random_features().to("meta"))
    network.caption(features, search, inference_decoder)  # moves constants to the device, once
    with OnlyMetaTensors():
        hypotheses = network.caption(features, search, inference_decoder)
    assert hypotheses.token_ids.shape == (len(features.values), search.num_captions, search.max_length)


def test_the_capture_check_notices_values_that_are_read_and_tensors_on_the_cpu() -> None:
    with pytest.raises(RuntimeError, match="meta"), OnlyMetaTensors():
        torch.ones(2, device="meta").sum().item()
    with pytest.raises(AssertionError, match="cpu"), OnlyMetaTensors():
        torch.tensor([1.0]).to("meta")


def test_nothing_is_captured_on_a_cpu() -> None:
    assert not is_capturing(torch.device("cpu"))


@needs_gpu
def test_a_graphed_training_step_gives_the_same_losses_and_gradients() -> None:
    decoder = make_decoder(dropout=0.0).float().to("cuda").train()
    graphed = GraphedTraining(decoder, lambda *inputs: training_losses(decoder, *inputs, static_shapes=True))
    for _ in range(3):
        input_ids, features = random_captions().to("cuda"), random_features().float().to("cuda")
        inputs = (features, input_ids, random_targets(input_ids))
        results = []
        for losses in (graphed(*inputs), training_losses(decoder, *inputs, static_shapes=False)):
            decoder.zero_grad()
            sum(losses).backward()  # type: ignore[union-attr]
            gradients = [parameter.grad.clone() for parameter in decoder.parameters()]  # type: ignore[union-attr]
            results.append([*(loss.clone() for loss in losses), *gradients])
        for one, other in zip(*results, strict=True):
            assert torch.allclose(one, other, atol=1e-5)
    assert len(graphed.graphs) == 1


@needs_gpu
@pytest.mark.parametrize("search", DETERMINISTIC_SEARCHES, ids=str)
def test_a_graphed_search_gives_the_same_captions(search: GenerationConfig) -> None:
    network = CaptionModel(nn.Identity(), make_decoder().to("cuda"))  # type: ignore[arg-type]
    inference_decoder = network.inference_decoder()
    graphed = GraphedInference(lambda features: network.caption(Features(features), search, inference_decoder))
    for batch_size in (3, 2, 3):
        features = random_features()[:batch_size].to("cuda")
        token_ids, scores, _ = graphed(features)
        expected = network.caption(Features(features), search, inference_decoder)
        assert token_ids[..., : expected.token_ids.shape[-1]].tolist() == expected.token_ids.tolist()
        assert torch.allclose(scores, expected.scores)
    assert len(graphed.graphs) == 1


@pytest.fixture
def compile_without_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compilation up to the graph of operators, which takes no compiler; a function that is no single graph fails."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True))
    with torch._dynamo.config.patch(recompile_limit=64):
        yield


def check_compiled_training_step(cell: str) -> None:
    """That losses and gradients do not change."""
    decoder, input_ids, features = make_decoder(cell=cell, dropout=0.0), random_captions(), random_features()
    results = []
    for context in (contextlib.nullcontext(), compiling()):
        leaf = features.clone().requires_grad_()
        with context:
            losses = training_losses(decoder, leaf, input_ids, random_targets(input_ids), static_shapes=True)
            results.append([*losses, *torch.autograd.grad(sum(losses), [leaf, *decoder.parameters()], allow_unused=True)])
    for one, other in zip(*results, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, atol=1e-10)


@pytest.mark.usefixtures("compile_without_code")
def test_a_compiled_training_step_gives_the_same_losses_and_gradients() -> None:
    check_compiled_training_step("lstm")


@pytest.mark.slow
@pytest.mark.usefixtures("compile_without_code")
@pytest.mark.parametrize("cell", cell_names())
def test_every_cell_s_training_step_can_be_compiled(cell: str) -> None:
    check_compiled_training_step(cell)


@pytest.mark.usefixtures("compile_without_code", "capturing_on_meta")
def test_a_step_of_a_search_can_be_compiled() -> None:
    network, search = CaptionModel(nn.Identity(), make_decoder().to("meta")), SEARCHES["beam"]  # type: ignore[arg-type]
    with compiling():
        assert network.caption(Features(random_features().to("meta")), search).token_ids.device.type == "meta"
