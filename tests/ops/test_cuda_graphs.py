"""What a GPU would capture: that it can be captured, without one, and that it gives the same, where there is one."""

import contextlib

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
from showattend.ops.cuda_graphs import GraphedInference, GraphedTraining
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.training.losses import doubly_stochastic_penalty
from showattend.vocabulary import PAD

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


def teach(decoder: Decoder, encoder_features: Tensor, heard: Tensor, targets: Tensor, *, static_shapes: bool) -> tuple[Tensor, Tensor]:
    spoken = decoder(encoder_features, heard, static_shapes=static_shapes)
    mask = targets != PAD
    likelihood = caption_loss(spoken.hidden, spoken.output, flatten_tokens(targets, None if static_shapes else mask))
    return likelihood, doubly_stochastic_penalty(spoken.alphas, mask)


@pytest.mark.parametrize("use_fused_loop", [True, False])
@pytest.mark.parametrize("cell", cell_names())
def test_speaking_at_padding_too_changes_neither_losses_nor_gradients(cell: str, use_fused_loop: bool) -> None:
    decoder, heard, seen = make_decoder(cell=cell, dropout=0.0), random_captions(), random_features()
    decoder.use_fused_loop = use_fused_loop
    targets = torch.where(heard != PAD, heard.flip(-1).clamp(min=4), PAD)
    found = []
    for static_shapes in (True, False):
        encoder_features = seen.clone().requires_grad_()
        losses = teach(decoder, encoder_features, heard, targets, static_shapes=static_shapes)
        wanted = [encoder_features, *decoder.parameters()]
        found.append([*losses, *torch.autograd.grad(sum(losses), wanted, allow_unused=True)])
    for one, other in zip(*found, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, atol=1e-10)


class NoProcessor(TorchDispatchMode):
    """Nothing comes from the processor or goes there: on the meta device that looking at a number fails is torch's own doing."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None) -> object:  # noqa: ANN001
        found = function(*args, **(kwargs or {}))
        devices = {entry.device.type for entry in tree_leaves((args, kwargs, found)) if isinstance(entry, Tensor)}
        assert devices <= {"meta"}, f"{function} works on {devices}"
        return found


@pytest.fixture
def meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device in the place of a GPU that captures; it knows no autocast."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr("showattend.decoding.generation.is_capturing", lambda device: True)


@pytest.mark.usefixtures("meta")
@pytest.mark.parametrize("cell", cell_names())
def test_a_step_of_training_looks_at_no_number(cell: str) -> None:
    decoder = make_decoder(cell=cell, dropout=0.0).train().to("meta")
    heard, encoder_features = random_captions().to("meta"), random_features().to("meta").requires_grad_()
    with NoProcessor():
        likelihood, penalty = teach(decoder, encoder_features, heard, heard, static_shapes=True)
        (likelihood + penalty).backward()


@pytest.mark.usefixtures("meta")
@pytest.mark.parametrize("search", [search for search in SEARCHES.values() if not search.sample], ids=str)
def test_a_search_looks_at_no_number(search: GenerationConfig) -> None:
    network = CaptionModel(nn.Identity(), make_decoder().to("meta"))  # type: ignore[arg-type]
    inference_decoder, encoder_features = network.inference_decoder(), random_features().to("meta")
    network.caption(Features(encoder_features), search, inference_decoder)  # brings to the device what stays there
    with NoProcessor():
        found = network.caption(Features(encoder_features), search, inference_decoder)
    assert found.token_ids.shape == (len(encoder_features), search.num_captions, search.max_length)


def test_a_number_that_is_looked_at_is_noticed() -> None:
    with pytest.raises(RuntimeError, match="meta"), NoProcessor():
        torch.ones(2, device="meta").sum().item()
    with pytest.raises(AssertionError, match="cpu"), NoProcessor():
        torch.tensor([1.0]).to("meta")


@needs_gpu
def test_a_captured_step_gives_the_same_losses_and_gradients() -> None:
    decoder = make_decoder(dropout=0.0).float().to("cuda").train()
    taught = GraphedTraining(decoder, lambda *inputs: teach(decoder, *inputs, static_shapes=True))
    for _ in range(3):
        heard, encoder_features = random_captions().to("cuda"), random_features().float().to("cuda")
        targets = torch.where(heard != PAD, heard.flip(-1).clamp(min=4), PAD)
        found = []
        for losses in (taught(encoder_features, heard, targets), teach(decoder, encoder_features, heard, targets, static_shapes=False)):
            decoder.zero_grad()
            sum(losses).backward()  # type: ignore[union-attr]
            found.append([*(loss.clone() for loss in losses), *(parameter.grad.clone() for parameter in decoder.parameters())])  # type: ignore[union-attr]
        for one, other in zip(*found, strict=True):
            assert torch.allclose(one, other, atol=1e-5)
    assert len(taught.graphs) == 1


@needs_gpu
@pytest.mark.parametrize("search", [search for search in SEARCHES.values() if not search.sample], ids=str)
def test_a_captured_search_finds_the_same(search: GenerationConfig) -> None:
    network = CaptionModel(nn.Identity(), make_decoder().to("cuda"))  # type: ignore[arg-type]
    inference_decoder = network.inference_decoder()
    replayed = GraphedInference(lambda encoder_features: network.caption(Features(encoder_features), search, inference_decoder))
    for number in (3, 2, 3):
        encoder_features = random_features()[:number].to("cuda")
        words, scores, _ = replayed(encoder_features)
        found = network.caption(Features(encoder_features), search, inference_decoder)
        assert words[..., : found.token_ids.shape[-1]].tolist() == found.token_ids.tolist()
        assert torch.allclose(scores, found.scores)
    assert len(replayed.graphs) == 1
