"""A user's options in the place of a model's own: what contradicts them gives way."""

from dataclasses import replace

import pytest
from factories import untrained_model

from showattend.errors import InputError
from showattend.generation_config import GenerationConfig
from showattend.inference import generation_config

RERANKED = GenerationConfig(5, 6, 0.7, num_captions=3, mutual_information=0.15)
GROUPED = GenerationConfig(4, 6, 0.7, num_captions=2, groups=2)


@pytest.mark.parametrize("default", [RERANKED, GROUPED], ids=["reranked", "groups"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sample": True}, {"sample": True, "beam": 1, "groups": 1, "mutual_information": 0.0}),
        ({"must_include": ["star"]}, {"groups": 1, "mutual_information": 0.0}),
        ({"beam": 1, "num_captions": 1}, {"beam": 1, "num_captions": 1, "groups": 1, "mutual_information": 0.0}),
        ({"groups": 3}, {"groups": 3, "mutual_information": 0.0, "beam": 6}),
        ({"num_captions": 7}, {"num_captions": 7}),
        ({}, {}),
    ],
    ids=str,
)
def test_settings_of_the_model_that_contradict_an_option_give_way(
    default: GenerationConfig, options: dict[str, object], expected: dict[str, object]
) -> None:
    model = untrained_model()
    found = generation_config(replace(model, generation=default), **options)  # type: ignore[arg-type]
    words = (model.vocabulary.token_to_id["star"],) if "must_include" in options else ()
    # Seven captions need seven beams, or four for each of two groups.
    beam = {"beam": 7 if default is RERANKED else 8} if "num_captions" in expected and "beam" not in expected else {}
    assert found == replace(default, **{"must_include": words, **beam, **expected})  # type: ignore[arg-type]


CONTRADICTING = [
    ({"groups": 2, "beam": 4}, {"mutual_information": 0.1}, {"groups": 1, "mutual_information": 0.1}),
    ({"neighbors": True}, {"consensus": True}, {"neighbors": False, "consensus": True}),
    ({"consensus": True}, {"mutual_information": 0.1}, {"consensus": False, "mutual_information": 0.1}),
    ({"consensus": True}, {"groups": 3}, {"groups": 3}),
    ({"min_length": 8}, {"max_length": 5}, {"min_length": 0, "max_length": 5}),
    ({"beam": 5, "num_captions": 3}, {"beam": 2}, {"beam": 2, "num_captions": 1}),
    ({"sample": True, "beam": 1, "temperature": 0.8, "min_length": 2}, {"beam": 4}, {"sample": False, "temperature": 1.0, "beam": 4}),
    ({"sample": True, "beam": 1, "temperature": 0.8}, {}, {}),
    ({"sample": True, "beam": 1, "temperature": 0.8}, {"seed": 3}, {"seed": 3}),
    ({"sample": True, "beam": 1, "temperature": 0.8}, {"sample": False}, {"sample": False, "temperature": 1.0}),
    ({"groups": 2, "beam": 4}, {"diversity": 0.3}, {"diversity": 0.3}),
    ({"ban": (4,), "must_include": (5,)}, {}, {}),
    ({"ban": (4,), "must_include": (5,)}, {"ban": [], "must_include": []}, {"ban": (), "must_include": ()}),
    ({"ban": (4,), "must_include": (5,)}, {"groups": 3}, {"groups": 3, "must_include": ()}),
]


@pytest.mark.parametrize(("settings", "options", "expected"), CONTRADICTING, ids=str)
def test_as_few_settings_as_possible_give_way(settings: dict[str, object], options: dict[str, object], expected: dict[str, object]) -> None:
    default = replace(GenerationConfig(), **settings)  # type: ignore[arg-type]
    found = generation_config(replace(untrained_model(), generation=default), **options)  # type: ignore[arg-type]
    assert found == replace(default, **expected)  # type: ignore[arg-type]


def test_a_required_text_without_words_is_refused() -> None:
    with pytest.raises(InputError, match="holds no word"):
        generation_config(untrained_model(), must_include=["?"])


def test_options_that_contradict_each_other_are_refused() -> None:
    model = replace(untrained_model(), generation=RERANKED)
    with pytest.raises(InputError, match="leave out sample"):
        generation_config(model, sample=True, mutual_information=0.1)
    with pytest.raises(InputError, match="leave out groups"):
        generation_config(model, groups=2, mutual_information=0.1)
