"""A user's options of caption generation in the place of a model's own."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol

from showattend.errors import InputError
from showattend.generation_config import GenerationConfig
from showattend.vocabulary import Vocabulary


class HasDefaults(Protocol):
    """A model folder or an exported one: how its captions are generated unless a user says otherwise, and its words."""

    @property
    def generation(self) -> GenerationConfig:
        """The settings that it was validated with."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Its tokens."""


def generation_config(
    model: HasDefaults, *, must_include: Iterable[str] = (), ban: Iterable[str] = (), sample: bool = False, **options: Any
) -> GenerationConfig:
    """The settings that a model was validated with, with some options in their place.

    Settings of the model that contradict an option give way to it.

    Args:
        must_include, ban: texts, of which each word is required or banned; banned words that the model does not know are left out
        options: values of further fields of `GenerationConfig`

    Raises:
        InputError: a required word is not in the vocabulary, or see `GenerationConfig`.
    """
    default, must_include = model.generation, list(must_include)
    plain = {"groups": 1, "mutual_information": 0.0}
    if sample:
        options = {"beam": 1, **plain, **options}
    elif must_include or options.get("beam") == 1:
        options = {**plain, **options}
    elif options.get("groups", 1) > 1:
        options = {"mutual_information": 0.0, **options}
    if "beam" not in options:
        # Five captions, or three groups, need at least as many beams.
        groups = options.get("groups", default.groups)
        beam = max(default.beam, options.get("num_captions", 1))
        options["beam"] = -(-beam // groups) * groups if groups > 0 else beam
    if "diversity" in options and "groups" not in options:
        raise InputError("diversity keeps groups of beams apart: give --groups G too")
    options["must_include"] = _token_ids(must_include, model.vocabulary, required=True)
    options["ban"] = _token_ids(ban, model.vocabulary)
    return replace(default, sample=sample, **options)


def _token_ids(texts: Iterable[str], vocabulary: Vocabulary, *, required: bool = False) -> tuple[int, ...]:
    """The ids of all words in some texts, each once."""
    texts = list(texts)
    if texts and vocabulary.subwords:
        raise InputError("words cannot be required or banned: the model's tokens are subwords")
    words = [word for text in texts for word in vocabulary.tokenize(text)]
    for word in words:
        if required and word not in vocabulary.token_to_id:
            raise InputError(f"the model's vocabulary lacks the required word '{word}': leave it out")
    return tuple({vocabulary.token_to_id[word]: None for word in words if word in vocabulary.token_to_id})
