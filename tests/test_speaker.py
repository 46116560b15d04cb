"""The fast way of finding captions against the plain one: the same words, scores and alphas, whatever is asked for."""

import pytest
import torch
from test_decoder import make
from torch import nn

from showattend.cells import cell_names
from showattend.decoding import Hypotheses, Search, decode, together
from showattend.errors import InputError
from showattend.models.caption_model import CaptionNetwork
from showattend.models.decoder import Decoder
from showattend.ops.decoder_step import Speaker, find_families
from showattend.vocabulary import END, PAD

N, L, D = 3, 5, 7
SEARCHES = {
    "greedy": Search(1, 6),
    "beam": Search(3, 6, 0.7),
    "several": Search(4, 6, num_captions=3),
    "length": Search(3, 6, min_length=3, no_repeat_ngram=2),
    "words": Search(3, 6, ban=(5, 6), must_include=(7, 8)),
    "groups": Search(4, 6, groups=2, diversity=0.7, num_captions=2),
    "sample": Search(1, 6, num_captions=3, sample=True, temperature=1.3, top_k=6, top_p=0.9, seed=3),
}


def lively(**options: object) -> Decoder:
    """Large weights, so that words differ in probability and not by rounding."""
    torch.manual_seed(5)
    decoder = make(**options)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.8)
    return decoder


def both_ways(decoders: list[Decoder], search: Search) -> list[Hypotheses]:
    annotations = torch.randn(N, L, D).double()
    found = []
    for fast in (True, False):
        for decoder in decoders:
            decoder.fast = fast
        with torch.inference_mode():
            begun = [CaptionNetwork(nn.Identity(), decoder).begin(annotations) for decoder in decoders]  # type: ignore[arg-type]
            found.append(decode(*together(begun), search))
    return found


def agree(one: Hypotheses, other: Hypotheses) -> None:
    assert one.words.tolist() == other.words.tolist()
    assert torch.allclose(one.scores, other.scores)
    assert torch.allclose(one.alphas, other.alphas)


@pytest.mark.parametrize("cell", [*cell_names(), "test_decoder:Ticking"])
def test_every_cell_says_the_same_either_way(cell: str) -> None:
    agree(*both_ways([lively(cell=cell)], SEARCHES["beam"]))


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize("attention", ["soft", "hard"])
def test_every_search_finds_the_same_either_way(search: Search, attention: str) -> None:
    agree(*both_ways([lively(attention=attention)], search))


@pytest.mark.parametrize(
    "options", [{"gate": "vector"}, {"gate": "none"}, {"deep_output": False}, {"layers": 2}, {"feature_size": 4}], ids=str
)
def test_so_does_every_choice_of_the_decoder(options: dict[str, object]) -> None:
    agree(*both_ways([lively(**options)], SEARCHES["beam"]))


def test_so_does_an_ensemble() -> None:
    agree(*both_ways([lively(), lively(cell="gru")], SEARCHES["several"]))


def test_words_are_projected_alike_one_by_one_and_from_the_table() -> None:
    decoder = lively()
    words, said = Speaker(decoder).words, torch.arange(5)
    with torch.inference_mode():
        one_by_one = words(said)
        assert words.table is None
        while words.table is None:
            words(said)
        assert torch.allclose(words(said), one_by_one)


def test_what_continues_one_hypothesis_is_a_family_and_what_has_ended_is_in_none() -> None:
    words, parents = torch.tensor([7, END, 5, 6, PAD, 9]), torch.tensor([2, 0, 2, 1, 4, 5])
    families = find_families(words, parents)
    going, eldest, of = (found.tolist() for found in families if found is not None)
    assert going == [0, 2, 3, 5]
    assert of == [1, 1, 0, 2]
    assert parents[eldest].tolist() == [1, 2, 5]
    assert find_families(torch.tensor([7, 5]), torch.tensor([0, 0])).going is None


@pytest.mark.parametrize("ended", [(), (0, 1), (1, 2, 3)], ids=str)
def test_a_step_is_that_of_the_decoder_for_those_that_go_on_and_zero_for_the_others(ended: tuple[int, ...]) -> None:
    decoder, annotations = lively(), torch.randn(2, L, D).double()
    words, parents = torch.tensor([5, 6, 7, 8, 9, 5]), torch.tensor([0, 0, 1, 2, 2, 3])
    words[list(ended)] = END
    with torch.inference_mode():
        speaker, memory, state = Speaker(decoder), *decoder.begin(annotations)
        state = tuple(torch.randn(4, *entry.shape[1:]).double()[parents] for entry in state)
        logits, after, alpha = decoder.step(words, state, memory)
        made, _ = speaker.begin(*decoder.first(annotations))
        found, *states, looked = (
            entry for part in speaker.step(words, (*state, parents), made) for entry in (part if isinstance(part, tuple) else (part,))
        )
    going = words != END
    for one, other in zip((found, *states[:-1], looked), (logits, *after, alpha), strict=True):
        assert torch.allclose(one[going], other[going])
        assert not one[~going].any()
    assert states[-1].tolist() == [0, 1, 2, 3, 4, 5]


def test_8_bits_say_nearly_the_same() -> None:
    decoder, annotations = lively(hidden_size=64, embedding_size=64, attention_size=64).float(), torch.randn(20, L, D)
    network = CaptionNetwork(nn.Identity(), decoder)  # type: ignore[arg-type]
    exact = network.caption(annotations, Search(3, 6))
    rounded = network.caption(annotations, Search(3, 6), network.speaker(int8=True))
    assert (exact.words[:, 0] == rounded.words[:, 0]).all(-1).float().mean() > 0.6
    assert (exact.scores - rounded.scores).abs().mean() < 0.5
    assert not torch.equal(exact.scores, rounded.scores)


def test_8_bits_are_refused_where_there_are_none() -> None:
    for decoder in (lively().float(), lively(), lively(cell="sru").float()):
        network = CaptionNetwork(nn.Identity(), decoder)  # type: ignore[arg-type]
        if decoder.can_unroll() and decoder.output.weight.dtype == torch.float32:
            assert network.speaker(int8=True) is not None
        else:
            with pytest.raises(InputError, match="8 bits"):
                network.speaker(int8=True)
