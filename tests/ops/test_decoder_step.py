"""The fast way of finding captions against the plain one: the same words, scores and alphas, whatever is asked for."""

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


def lively(**options: object) -> Decoder:
    """Large weights, so that words differ in probability and not by rounding."""
    torch.manual_seed(5)
    decoder = make_decoder(**options)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.8)
    return decoder


def both_ways(decoders: list[Decoder], search: GenerationConfig) -> list[Hypotheses]:
    encoder_features = torch.randn(N, L, D).double()
    found = []
    for use_fused_loop in (True, False):
        for decoder in decoders:
            decoder.use_fused_loop = use_fused_loop
        with torch.inference_mode():
            begun = [CaptionModel(nn.Identity(), decoder).make_step_function(Features(encoder_features)) for decoder in decoders]  # type: ignore[arg-type]
            found.append(generate(*ensemble_step(begun), search))
    return found


def agree(one: Hypotheses, other: Hypotheses) -> None:
    assert one.token_ids.tolist() == other.token_ids.tolist()
    assert torch.allclose(one.scores, other.scores)
    assert torch.allclose(one.alphas, other.alphas)


@pytest.mark.parametrize("cell", [*cell_names(), "factories:ClockCell"])
def test_every_cell_says_the_same_either_way(cell: str) -> None:
    agree(*both_ways([lively(cell=cell)], SEARCHES["beam"]))


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize("attention", ["soft", "hard"])
def test_every_search_finds_the_same_either_way(search: GenerationConfig, attention: str) -> None:
    agree(*both_ways([lively(attention=attention)], search))


@pytest.mark.parametrize(
    "options", [{"gate": "vector"}, {"gate": "none"}, {"deep_output": False}, {"layers": 2}, {"projection_dim": 4}], ids=str
)
def test_so_does_every_choice_of_the_decoder(options: dict[str, object]) -> None:
    agree(*both_ways([lively(**options)], SEARCHES["beam"]))


def test_so_does_an_ensemble() -> None:
    agree(*both_ways([lively(), lively(cell="gru")], SEARCHES["several"]))


def test_words_are_projected_alike_one_by_one_and_from_the_table() -> None:
    decoder = lively()
    words, said = InferenceDecoder(inference_parts(decoder)).input_projection, torch.arange(5)
    with torch.inference_mode():
        one_by_one = words(said)
        assert words.table is None
        while words.table is None:
            words(said)
        assert torch.allclose(words(said), one_by_one)


def test_what_continues_one_hypothesis_is_a_family_and_what_has_ended_is_in_none() -> None:
    words, parents = torch.tensor([7, END, 5, 6, PAD, 9]), torch.tensor([2, 0, 2, 1, 4, 5])
    shared = group_by_parent(words, parents)
    active, representative, inverse = (part.tolist() for part in shared if part is not None)
    assert active == [0, 2, 3, 5]
    assert inverse == [1, 1, 0, 2]
    assert parents[representative].tolist() == [1, 2, 5]
    assert group_by_parent(torch.tensor([7, 5]), torch.tensor([0, 0])).active is None


@pytest.mark.parametrize("ended", [(), (0, 1), (1, 2, 3)], ids=str)
def test_a_step_is_that_of_the_decoder_for_those_that_go_on_and_zero_for_the_others(ended: tuple[int, ...]) -> None:
    decoder, encoder_features = lively(), torch.randn(2, L, D).double()
    words, parents = torch.tensor([5, 6, 7, 8, 9, 5]), torch.tensor([0, 0, 1, 2, 2, 3])
    words[list(ended)] = END
    with torch.inference_mode():
        inference_decoder, memory, state = InferenceDecoder(inference_parts(decoder)), *decoder.init_state(encoder_features)
        state = tuple(torch.randn(4, *entry.shape[1:]).double()[parents] for entry in state)
        logits, after, alpha = decoder.step(words, state, memory)
        made, _ = inference_decoder.init_state(*decoder.project_features_and_init_state(encoder_features))
        found, *states, looked = (
            entry
            for part in inference_decoder.step(words, (*state, parents), made)
            for entry in (part if isinstance(part, tuple) else (part,))
        )
    going = words != END
    for one, other in zip((found, *states[:-1], looked), (logits, *after, alpha), strict=True):
        assert torch.allclose(one[going], other[going])
        assert not one[~going].any()
    assert states[-1].tolist() == [0, 1, 2, 3, 4, 5]


def test_8_bits_say_nearly_the_same() -> None:
    decoder, encoder_features = lively(hidden_size=64, embedding_size=64, attention_size=64).float(), torch.randn(20, L, D)
    network = CaptionModel(nn.Identity(), decoder)  # type: ignore[arg-type]
    exact = network.caption(Features(encoder_features), GenerationConfig(3, 6))
    rounded = network.caption(Features(encoder_features), GenerationConfig(3, 6), network.inference_decoder(int8=True))
    assert (exact.token_ids[:, 0] == rounded.token_ids[:, 0]).all(-1).float().mean() > 0.6
    assert (exact.scores - rounded.scores).abs().mean() < 0.5
    assert not torch.equal(exact.scores, rounded.scores)


def test_8_bits_are_refused_where_there_are_none() -> None:
    for decoder in (lively().float(), lively(), lively(cell="sru").float()):
        network = CaptionModel(nn.Identity(), decoder)  # type: ignore[arg-type]
        if decoder.supports_fused_loop and decoder.output.weight.dtype == torch.float32:
            assert network.inference_decoder(int8=True) is not None
        else:
            with pytest.raises(InputError, match="int8 needs"):
                network.inference_decoder(int8=True)
