"""The models of the page, one request at a time: what a visitor asks for becomes captions of each chosen model."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from showattend.errors import InputError
from showattend.generation_config import SAMPLING, SEARCHING, GenerationConfig
from showattend.inference import Caption, Captioner, CaptionScore, Failure, generation_config

WORDS = ("must_include", "ban")  # options that are words
BATCH = 8  # photos that are captioned between two requests of other visitors


class ModelSet:
    """Captioners by name, which several threads may use: a network records gates while it runs, so one request runs at a time."""

    def __init__(self, captioners: Mapping[str, Captioner]) -> None:
        self.captioners = dict(captioners)
        self.lock = Lock()

    @property
    def names(self) -> list[str]:
        """The models' names, in the order of the command line."""
        return list(self.captioners)

    @property
    def defaults(self) -> GenerationConfig:
        """The settings that the first model was validated with."""
        return next(iter(self.captioners.values())).model.generation

    @property
    def default_words(self) -> dict[str, str]:
        """The words that the first model requires and bans, as its settings say."""
        vocabulary = next(iter(self.captioners.values())).model.vocabulary
        if vocabulary.subwords:  # which cannot be required or banned by words
            return dict.fromkeys(WORDS, "")
        return {name: " ".join(vocabulary.decode(getattr(self.defaults, name))) for name in WORDS}

    @property
    def unavailable(self) -> set[str]:
        """Options that ask for what no model has."""
        return set() if any(captioner.model.neighbors for captioner in self.captioners.values()) else {"neighbors"}

    def caption(self, photo: Path, names: Sequence[str], options: Mapping[str, Any], *, gates: bool = False) -> dict[str, Caption]:
        """A photo's caption by each of some models.

        Args:
            options: a value for each field of `GenerationConfig`

        Raises:
            InputError: the photo cannot be read, or the options contradict each other.
        """
        with self.lock:
            return {
                name: one.caption(photo, self._config(one, options), details=True, gates=gates) for name, one in self._chosen(names).items()
            }

    def score(self, photo: Path, text: str, names: Sequence[str], *, gates: bool = False) -> dict[str, CaptionScore]:
        """How probable a visitor's own caption is for each of some models, and where they look at its words.

        Raises:
            InputError: the photo cannot be read, or the caption has no words.
        """
        with self.lock:
            return {name: one.score(photo, [text], details=True, gates=gates)[0] for name, one in self._chosen(names).items()}

    def caption_files(self, photos: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[Path, Caption | Failure]]:
        """The first model's captions of many photos, in order; other requests are answered in between.

        Raises:
            InputError: the options contradict each other.
        """
        captioner = next(iter(self.captioners.values()))
        config = self._config(captioner, options)
        for start in range(0, len(photos), BATCH):
            with self.lock:
                results = list(captioner.caption_files(photos[start : start + BATCH], config, batch_size=BATCH))
            yield from results

    def _chosen(self, names: Sequence[str]) -> dict[str, Captioner]:
        chosen = {name: one for name, one in self.captioners.items() if name in names}
        if not chosen:
            raise InputError("no model is chosen: choose at least one")
        return chosen

    def _config(self, captioner: Captioner, options: Mapping[str, Any]) -> GenerationConfig:
        """Settings from a value for each option; those that do not count, because of `sample` or its absence, are left out.

        Words that stand as the page began with them are left to each model's own settings.
        """
        untouched = {name for name in WORDS if " ".join(options[name]) == self.default_words[name]}
        given = {name: value for name, value in options.items() if name not in untouched}
        if given["sample"]:
            given = {name: given[name] for name in given if name not in SEARCHING}
        else:
            given = {name: value for name, value in given.items() if name == "sample" or name not in SAMPLING}
            needed = max(given["beam"], given["num_captions"])
            given["beam"] = -(-needed // given["groups"]) * given["groups"]
        return generation_config(captioner.model, **given)
