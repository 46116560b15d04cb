"""The search in NumPy finds what torch's finds, for every cell, every attention and every option that it takes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from factories import SEARCHES, WORDS, TinyLanguage, untrained_model
from numpy.typing import NDArray

from showattend.attention import attention_names
from showattend.cells import cell_names
from showattend.decoding import GenerationConfig
from showattend.decoding import generate as torch_generate
from showattend.errors import InputError
from showattend.export.graphs import FirstState, Step
from showattend.models.inputs import Features
from showattend.runtime.beam_search import generate

PARTS = [*((cell, "soft") for cell in cell_names()), *(("lstm", attention) for attention in attention_names() if attention != "soft")]
CONFIGS = [
    GenerationConfig(1, 6),
    GenerationConfig(3, 6, 0.7),
    GenerationConfig(3, 4, 1.0, num_captions=2),
    GenerationConfig(4, 8, num_captions=3, min_length=3, no_repeat_ngram=2, ban=(5,)),
    GenerationConfig(3, 8, min_length=2, no_repeat_ngram=1),
    GenerationConfig(6, 6, 2.0, num_captions=6, ban=tuple(range(5, WORDS))),
]


def assert_equal(found: Any, expected: Any) -> None:
    possible = expected.scores.numpy() > -np.inf
    assert np.array_equal(found.scores > -np.inf, possible)
    assert np.array_equal(found.token_ids[possible], expected.token_ids.numpy()[possible])
    assert np.allclose(found.scores[possible], expected.scores.numpy()[possible], atol=1e-4)
    assert np.allclose(found.alphas[possible], expected.alphas.numpy()[possible], atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_hypotheses_of_torch(seed: int, config: GenerationConfig) -> None:
    language = TinyLanguage(4, seed)

    def step(token_ids: NDArray[np.int64], state: Sequence[NDArray[Any]]) -> Any:
        shape = token_ids.shape
        log_probs, (h,), alpha = language.step(torch.from_numpy(token_ids.flatten()), (torch.from_numpy(state[0].reshape(-1, 5)),))
        return log_probs.view(*shape, -1).numpy(), [h.view(*shape, -1).numpy()], alpha.view(*shape, -1).numpy()

    found = generate(step, [language.start.unsqueeze(1).numpy()], config)
    assert_equal(found, torch_generate(language.step, (language.start,), config))


@pytest.mark.parametrize(("cell", "attention"), PARTS)
def test_first_state_and_step_give_the_captions_of_every_cell_and_attention(cell: str, attention: str) -> None:
    network = untrained_model(cell=cell, attention=attention).network
    decoder, features = network.decoder, torch.randn(3, 7, network.encoder.channels)
    for parameter in decoder.parameters():
        parameter.data.mul_(2)  # captions of several words
    entries = len(decoder.cell.state_names)
    config = GenerationConfig(3, 6, 0.7, num_captions=2, min_length=1)
    with torch.inference_mode():
        first = FirstState(decoder)(features)

        def step(token_ids: NDArray[np.int64], state: Sequence[NDArray[Any]]) -> Any:
            log_probs, alpha, *state = (
                result.numpy() for result in Step(decoder)(torch.from_numpy(token_ids), *map(torch.from_numpy, state), *first[entries:])
            )
            return log_probs, state, alpha

        assert_equal(generate(step, [entry.numpy() for entry in first[:entries]], config), network.caption(Features(features), config))


@pytest.mark.parametrize("name", ["words", "groups", "information", "consensus", "sample"])
def test_what_only_torch_can_search_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="caption with the model folder itself"):
        generate(lambda token_ids, state: (np.zeros(()), state, np.zeros(())), [np.zeros((1, 1))], SEARCHES[name])
