"""Search with packed weights and shared prefixes against search with the plain decoder: equal tokens, scores and alphas."""

import pytest
import torch
from factories import SEARCHES, make_decoder
from torch import nn

from showattend.cells import cell_names
from showattend.decoding import GenerationConfig, Hypotheses, ensemble_step, generate
from showattend.errors import InputError
from showattend.models.caption_model import CaptionModel
from showattend.models.decoder import Decoder
from showattend.models.fused import inference_parts
from showattend.models.inputs import Features
from showattend.ops.decoder_step import InferenceDecoder, group_by_parent
from showattend.vocabulary import END, PAD

N, L, D = 3, 5, 7
PLAIN_CELLS = {"ligru", "sru"}  # batch statistics; a step that reads its input as well as the projection of it


def decoder_with_large_weights(**options: object) -> Decoder:
    """Large weights, so that tokens differ in probability by more than rounding."""
    torch.manual_seed(5)
    decoder = make_decoder(**options)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.8)
    return decoder


def fused_and_plain(decoders: list[Decoder], search: GenerationConfig) -> list[Hypotheses]:
    assert all(decoder.supports_fused_loop for decoder in decoders), "the plain decoder would be compared with itself"
    encoder_features = torch.randn(N, L, D).double()
    results = []
    for use_fused_loop in (True, False):
        for decoder in decoders:
            decoder.use_fused_loop = use_fused_loop
        with torch.inference_mode():
            steps = [CaptionModel(nn.Identity(), decoder).make_step_function(Features(encoder_features)) for decoder in decoders]  # type: ignore[arg-type]
            results.append(generate(*ensemble_step(steps), search))
    return results


def agree(one: Hypotheses, other: Hypotheses) -> None:
    assert one.token_ids.tolist() == other.token_ids.tolist()
    assert torch.allclose(one.scores, other.scores)
    assert torch.allclose(one.alphas, other.alphas)


@pytest.mark.parametrize("cell", [*(cell for cell in cell_names() if cell not in PLAIN_CELLS), "factories:ClockCell"])
def test_every_cell_gives_equal_captions_in_both_decoders(cell: str) -> None:
    agree(*fused_and_plain([decoder_with_large_weights(cell=cell)], SEARCHES["beam"]))


@pytest.mark.parametrize(
    "options", [*({"cell": cell} for cell in sorted(PLAIN_CELLS)), {"attention": "hard"}, {"attention": "dot"}], ids=str
)
def test_what_packed_weights_do_not_support_is_searched_by_the_plain_decoder(options: dict[str, object]) -> None:
    network = CaptionModel(nn.Identity(), decoder_with_large_weights(**options))  # type: ignore[arg-type]
    assert network.inference_decoder() is None


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_every_search_gives_equal_captions_in_both_decoders(search: GenerationConfig) -> None:
    agree(*fused_and_plain([decoder_with_large_weights()], search))


@pytest.mark.parametrize(
    "options", [{"gate": "vector"}, {"gate": "none"}, {"deep_output": False}, {"layers": 2}, {"projection_dim": 4}], ids=str
)
def test_every_option_gives_equal_captions_in_both_decoders(options: dict[str, object]) -> None:
    agree(*fused_and_plain([decoder_with_large_weights(**options)], SEARCHES["beam"]))


def test_an_ensemble_gives_equal_captions_in_both_decoders() -> None:
    agree(*fused_and_plain([decoder_with_large_weights(), decoder_with_large_weights(cell="gru")], SEARCHES["several"]))


def test_tokens_have_the_same_projection_with_and_without_the_table() -> None:
    decoder = decoder_with_large_weights()
    projection, token_ids = InferenceDecoder(inference_parts(decoder, torch.float64), torch.float64).input_projection, torch.arange(5)
    with torch.inference_mode():
        one_by_one = projection(token_ids)
        assert projection.table is None
        for _ in range(len(decoder.embedding.weight) // len(token_ids)):  # by then all tokens at once would have been cheaper
            projection(token_ids)
        assert projection.table is not None
        assert len(projection.table) == len(decoder.embedding.weight)
        assert torch.allclose(projection(token_ids), one_by_one)


def test_active_rows_are_grouped_by_parent_and_ended_rows_are_left_out() -> None:
    token_ids, parents = torch.tensor([7, END, 5, 6, PAD, 9]), torch.tensor([2, 0, 2, 1, 4, 5])
    shared = group_by_parent(token_ids, parents)
    active, representative, inverse = (part.tolist() for part in shared if part is not None)
    assert active == [0, 2, 3, 5]
    assert inverse == [1, 1, 0, 2]
    assert parents[representative].tolist() == [1, 2, 5]
    assert group_by_parent(torch.tensor([7, 5]), torch.tensor([0, 0])).active is None


@pytest.mark.parametrize("ended", [(), (0, 1), (1, 2, 3)], ids=str)
def test_a_step_equals_the_decoders_for_active_rows_and_is_zero_for_ended_ones(ended: tuple[int, ...]) -> None:
    decoder, encoder_features = decoder_with_large_weights(), torch.randn(2, L, D).double()
    token_ids, parents = torch.tensor([5, 6, 7, 8, 9, 5]), torch.tensor([0, 0, 1, 2, 2, 3])
    token_ids[list(ended)] = END
    with torch.inference_mode():
        inference_decoder, cache, state = (
            InferenceDecoder(inference_parts(decoder, torch.float64), torch.float64),
            *decoder.init_state(encoder_features),
        )
        state = tuple(torch.randn(4, *entry.shape[1:]).double()[parents] for entry in state)
        logits, new_state, alpha = decoder.step(token_ids, state, cache)
        fast_cache, _ = inference_decoder.init_state(*decoder.project_features_and_init_state(encoder_features))
        fast_logits, (*fast_state, row_indices), fast_alpha = inference_decoder.step(token_ids, (*state, parents), fast_cache)
    active = token_ids != END
    for fast, plain in zip((fast_logits, *fast_state, fast_alpha), (logits, *new_state, alpha), strict=True):
        assert torch.allclose(fast[active], plain[active])
        assert not fast[~active].any()
    assert row_indices.tolist() == [0, 1, 2, 3, 4, 5]


def test_int8_gives_nearly_equal_captions() -> None:
    decoder = decoder_with_large_weights(hidden_size=64, embedding_size=64, attention_size=64).float()
    encoder_features = torch.randn(20, L, D)
    network = CaptionModel(nn.Identity(), decoder)  # type: ignore[arg-type]
    exact = network.caption(Features(encoder_features), GenerationConfig(3, 6))
    rounded = network.caption(Features(encoder_features), GenerationConfig(3, 6), network.inference_decoder(torch.int8))
    assert (exact.token_ids[:, 0] == rounded.token_ids[:, 0]).all(-1).float().mean() > 0.6
    assert (exact.scores - rounded.scores).abs().mean() < 0.5
    assert not torch.equal(exact.scores, rounded.scores)


def test_int8_is_refused_where_it_is_not_supported() -> None:
    for decoder in (decoder_with_large_weights().float(), decoder_with_large_weights(), decoder_with_large_weights(cell="sru").float()):
        network = CaptionModel(nn.Identity(), decoder)  # type: ignore[arg-type]
        if decoder.supports_fused_loop and decoder.output.weight.dtype == torch.float32:
            assert network.inference_decoder(torch.int8) is not None
        else:
            with pytest.raises(InputError, match="int8 needs"):
                network.inference_decoder(torch.int8)
