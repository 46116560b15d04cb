"""The decoder against the paper's equations, and whole captions against single steps."""

import pytest
import torch
from factories import G, L, N, V, make_decoder, random_captions, random_features
from torch import Tensor

from showattend.cells import cell_names
from showattend.errors import InputError
from showattend.models.decoder import Decoder
from showattend.models.teacher_forcing import flatten_tokens
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.vocabulary import PAD


def step_by_step(decoder: Decoder, encoder_features: Tensor, input_ids: Tensor) -> tuple[Tensor, Tensor]:
    cache, state = decoder.init_state(encoder_features)
    state = tuple(entry.repeat_interleave(input_ids.shape[1], 0) for entry in state)
    logits, alphas = [], []
    for t in range(input_ids.shape[2]):
        step_logits, state, alpha = decoder.step(input_ids[:, :, t].flatten(), state, cache)
        logits.append(step_logits.unflatten(0, input_ids.shape[:2]))
        alphas.append(alpha.unflatten(0, input_ids.shape[:2]))
    return torch.stack(logits, 2), torch.stack(alphas, 2)


@pytest.mark.parametrize("cell", [*cell_names(), "factories:ClockCell"])
@pytest.mark.parametrize("options", [{}, {"gate": "vector"}, {"gate": "none", "deep_output": False}, {"projection_dim": 5, "layers": 3}])
def test_teacher_forcing_equals_stepping_token_by_token(cell: str, options: dict[str, object]) -> None:
    decoder, encoder_features, input_ids = make_decoder(cell=cell, **options), random_features(), random_captions()
    mask = input_ids != PAD
    output = decoder(encoder_features, input_ids)
    logits, alphas = output.logits, output.alphas
    expected, expected_alphas = step_by_step(decoder, encoder_features, input_ids)
    assert torch.allclose(logits, expected.movedim(2, 0)[mask.movedim(2, 0)])
    assert torch.allclose(alphas, expected_alphas * mask.unsqueeze(-1))


def test_results_of_a_caption_do_not_depend_on_other_captions_or_on_padding() -> None:
    decoder, encoder_features, input_ids = make_decoder(), random_features(), random_captions()
    alphas = decoder(encoder_features, input_ids).alphas
    longer = torch.nn.functional.pad(input_ids, (0, 3))
    assert torch.allclose(decoder(encoder_features, longer)[0], decoder(encoder_features, input_ids)[0])
    for n in range(N):
        for g in range(G):
            length = int((input_ids[n, g] != PAD).sum())
            if length:
                alone = decoder(encoder_features[n : n + 1], input_ids[n : n + 1, g : g + 1, :length]).alphas
                assert torch.allclose(alphas[n, g, :length], alone[0, 0])


def test_one_step_equals_the_equations_of_the_paper() -> None:
    """A transcription of eq. 1-7, 13 of Xu et al. 2015, one image and one token."""
    decoder, encoder_features = make_decoder(), random_features()[:1]
    a, token_id = encoder_features[0], 5
    w = {name: value.double() for name, value in decoder.state_dict().items()}
    initial = torch.tanh(w["init_proj.weight"] @ a.mean(0) + w["init_proj.bias"])
    h, c = initial[:8], initial[8:]
    y = w["embedding.weight"][token_id]
    e = [
        w["attention.energy.weight"][0]
        @ torch.tanh(w["attention.key.weight"] @ a_i + w["attention.key.bias"] + w["attention.query.weight"] @ h)
        for a_i in a
    ]
    alpha = torch.stack(e).exp() / torch.stack(e).exp().sum()
    z = sum(alpha[i] * a[i] for i in range(L))
    z = torch.sigmoid(w["beta.weight"] @ h + w["beta.bias"]) * z
    x = torch.cat((y, z))
    i, f, g, o = (w["cell.weight_ih"] @ x + w["cell.weight_hh"] @ h + w["cell.bias"]).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    deep = torch.tanh(y + w["output_proj_h.weight"] @ h + w["output_proj_h.bias"] + w["output_proj_context.weight"] @ z)
    expected = w["output.weight"] @ deep + w["output.bias"]
    cache, state = decoder.init_state(encoder_features)
    logits, (new_h, new_c), weights = decoder.step(torch.tensor([token_id]), state, cache)
    for computed, by_hand in ((logits[0], expected), (new_h[0], h), (new_c[0], c), (weights[0], alpha)):
        assert torch.allclose(computed, by_hand)


def test_alpha_sums_to_one_over_the_locations() -> None:
    decoder, encoder_features = make_decoder(), random_features()
    cache, state = decoder.init_state(encoder_features)
    _, _, alpha = decoder.step(torch.tensor([4, 5, 6]), state, cache)
    assert torch.allclose(alpha.sum(-1), torch.ones(N).double())


@pytest.mark.parametrize("cell", cell_names())
def test_gradients_reach_every_weight_and_none_comes_from_padding(cell: str) -> None:
    decoder, encoder_features, input_ids = make_decoder(cell=cell), random_features(), random_captions()
    targets = torch.where(input_ids != PAD, torch.randint(4, V, input_ids.shape), PAD)
    output = decoder(encoder_features, input_ids)
    caption_loss(output.hidden, output.output, flatten_tokens(targets, input_ids != PAD)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())
    assert decoder.embedding.weight.grad is not None
    assert not decoder.embedding.weight.grad[PAD].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"gate": "scaler"}, "scalar"), ({"cell": "gruu"}, "gru"), ({"hidden_size": 0}, "hidden_size"), ({"dropout": 1.0}, "dropout")],
)
def test_a_bad_configuration_is_refused_with_a_valid_value(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_decoder(**options)
