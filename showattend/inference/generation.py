"""A user's options of caption generation in the place of a model's own."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import fields
from itertools import combinations
from typing import Any, Protocol

from showattend.errors import InputError
from showattend.generation_config import SAMPLING, GenerationConfig
from showattend.vocabulary import Vocabulary

PLAIN = GenerationConfig()


class HasDefaults(Protocol):
    """A model folder or an exported one: how its captions are generated unless a user says otherwise, and its words."""

    @property
    def generation(self) -> GenerationConfig:
        """The settings that it was validated with."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Its tokens."""


def generation_config(
    model: HasDefaults,
    *,
    must_include: Iterable[str] | None = None,
    ban: Iterable[str] | None = None,
    sample: bool | None = None,
    **options: Any,
) -> GenerationConfig:
    """The settings that a model was validated with, with some options in their place.

    Settings of the model that contradict an option give way to it, as few of them as possible.

    Args:
        must_include, ban: texts, of which each word is required or banned; banned words that the model does not know are left out;
            None: those of the model
        sample: whether to draw the words at random; None: as the model's settings say
        options: values of further fields of `GenerationConfig`

    Raises:
        InputError: a required word is not in the vocabulary, the options contradict each other, or see `GenerationConfig`.
    """
    given = dict(options) if sample is None else {**options, "sample": sample}
    for name, texts in (("must_include", must_include), ("ban", ban)):
        if texts is not None:
            given[name] = _token_ids(texts, model.vocabulary, required=name == "must_include")
    if "diversity" in given and "groups" not in given and model.generation.groups == 1:
        raise InputError("diversity keeps groups of beams apart: give --groups G too")
    own = [{field.name} for field in fields(GenerationConfig) if field.name not in SAMPLING]
    own = [names - set(given) for names in (*own, set(SAMPLING))]
    own = [names for names in own if any(getattr(model.generation, name) != getattr(PLAIN, name) for name in names)]
    for count in range(len(own) + 1):
        for dropped in combinations(own, count):
            try:
                return _completed(model.generation, given, set().union(*dropped))
            except InputError as error:
                refusal = error  # the last one is of the options alone
    raise refusal


def _completed(default: GenerationConfig, given: Mapping[str, Any], dropped: Set[str]) -> GenerationConfig:
    """The model's settings without the dropped ones, overridden by the user's.

    If no beam is given: 1 for sampling, else enough for captions and groups.
    """
    config = {field.name: getattr(PLAIN if field.name in dropped else default, field.name) for field in fields(GenerationConfig)}
    config |= given
    if "beam" not in given:
        groups = max(1, config["groups"])
        beam = 1 if config["sample"] else max(config["beam"], given.get("num_captions", 1))
        config["beam"] = -(-beam // groups) * groups
    return GenerationConfig(**config)


def _token_ids(texts: Iterable[str], vocabulary: Vocabulary, *, required: bool = False) -> tuple[int, ...]:
    """The ids of all words in some texts, each once."""
    texts = list(texts)
    if texts and vocabulary.subwords:
        raise InputError("words cannot be required or banned: the model's tokens are subwords")
    words = [word for text in texts for word in vocabulary.tokenize(text)]
    if texts and required and not words:
        raise InputError(f"the required text {' '.join(map(repr, texts))} holds no word: give words")
    for word in words:
        if required and word not in vocabulary.token_to_id:
            raise InputError(f"the model's vocabulary lacks the required word '{word}': leave it out")
    return tuple({vocabulary.token_to_id[word]: None for word in words if word in vocabulary.token_to_id})
