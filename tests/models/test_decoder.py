"""The decoder against the paper's equations, and its fast ways against its plain one."""

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


def repeated_steps(decoder: Decoder, encoder_features: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    memory, state = decoder.init_state(encoder_features)
    state = tuple(entry.repeat_interleave(words.shape[1], 0) for entry in state)
    logits, alphas = [], []
    for t in range(words.shape[2]):
        said, state, alpha = decoder.step(words[:, :, t].flatten(), state, memory)
        logits.append(said.unflatten(0, words.shape[:2]))
        alphas.append(alpha.unflatten(0, words.shape[:2]))
    return torch.stack(logits, 2), torch.stack(alphas, 2)


@pytest.mark.parametrize("cell", [*cell_names(), "factories:ClockCell"])
@pytest.mark.parametrize("options", [{}, {"gate": "vector"}, {"gate": "none", "deep_output": False}, {"projection_dim": 5, "layers": 3}])
def test_teacher_forcing_is_repeated_stepping(cell: str, options: dict[str, object]) -> None:
    decoder, encoder_features, words = make_decoder(cell=cell, **options), random_features(), random_captions()
    mask = words != PAD
    spoken = decoder(encoder_features, words)
    logits, alphas = spoken.logits, spoken.alphas
    expected, expected_alphas = repeated_steps(decoder, encoder_features, words)
    assert torch.allclose(logits, expected.movedim(2, 0)[mask.movedim(2, 0)])
    assert torch.allclose(alphas, expected_alphas * mask.unsqueeze(-1))


def test_captions_together_are_the_same_as_one_by_one_and_padding_changes_nothing() -> None:
    decoder, encoder_features, words = make_decoder(), random_features(), random_captions()
    alphas = decoder(encoder_features, words).alphas
    longer = torch.nn.functional.pad(words, (0, 3))
    assert torch.allclose(decoder(encoder_features, longer)[0], decoder(encoder_features, words)[0])
    for n in range(N):
        for g in range(G):
            length = int((words[n, g] != PAD).sum())
            if length:
                alone = decoder(encoder_features[n : n + 1], words[n : n + 1, g : g + 1, :length]).alphas
                assert torch.allclose(alphas[n, g, :length], alone[0, 0])


def test_one_step_is_the_paper_s_equations() -> None:
    """A transcription of eq. 1-7, 13 of Xu et al. 2015, one photo and one word."""
    decoder, encoder_features = make_decoder(), random_features()[:1]
    a, word = encoder_features[0], 5
    w = {name: value.double() for name, value in decoder.state_dict().items()}
    initial = torch.tanh(w["init_proj.weight"] @ a.mean(0) + w["init_proj.bias"])
    h, c = initial[:8], initial[8:]
    y = w["embedding.weight"][word]
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
    memory, state = decoder.init_state(encoder_features)
    logits, (new_h, new_c), weights = decoder.step(torch.tensor([word]), state, memory)
    for mine, theirs in ((logits[0], expected), (new_h[0], h), (new_c[0], c), (weights[0], alpha)):
        assert torch.allclose(mine, theirs)


def test_alpha_sums_to_one() -> None:
    decoder, encoder_features = make_decoder(), random_features()
    memory, state = decoder.init_state(encoder_features)
    _, _, alpha = decoder.step(torch.tensor([4, 5, 6]), state, memory)
    assert torch.allclose(alpha.sum(-1), torch.ones(N).double())


@pytest.mark.parametrize("cell", cell_names())
def test_gradients_reach_every_weight_and_none_comes_from_padding(cell: str) -> None:
    decoder, encoder_features, words = make_decoder(cell=cell), random_features(), random_captions()
    targets = torch.where(words != PAD, torch.randint(4, V, words.shape), PAD)
    spoken = decoder(encoder_features, words)
    caption_loss(spoken.hidden, spoken.output, flatten_tokens(targets, words != PAD)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())
    assert decoder.embedding.weight.grad is not None
    assert not decoder.embedding.weight.grad[PAD].any()


@pytest.mark.parametrize(
    ("bad", "named"),
    [({"gate": "scaler"}, "scalar"), ({"cell": "gruu"}, "gru"), ({"hidden_size": 0}, "hidden_size"), ({"dropout": 1.0}, "dropout")],
)
def test_bad_choices_are_refused_with_what_would_be_right(bad: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        make_decoder(**bad)
