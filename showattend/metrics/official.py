"""METEOR and SPICE through their authors' Java: asked before the work whether they can be used, and never a reason to lose the rest."""

from collections.abc import Callable, Sequence
from pathlib import Path

from showattend.metrics import meteor, spice
from showattend.metrics.java import OfficialError, versions

OFFICIAL = ("meteor", "spice")
Texts = Sequence[Sequence[str]]
Found = tuple[float, list[float]]


class Official:
    """The official scorers that a user asks for and that work here.

    Args:
        names: of OFFICIAL
        models: folder of SPICE's models

    Attributes:
        usable: those that gave the right answer to a known question
        reasons: a line for each of the others
    """

    def __init__(self, names: Sequence[str], models: Path | None = None) -> None:
        self.models = models
        self.usable: list[str] = []
        self.reasons: list[str] = []
        checks: dict[str, Callable[[], None]] = {"meteor": meteor.check_meteor, "spice": lambda: spice.check_spice(models)}
        for name in dict.fromkeys(names):
            try:
                checks[name]()
            except OfficialError as error:
                self.reasons.append(f"no {name.upper()}: {error}")
            else:
                self.usable.append(name)

    def scores(self, captions: Sequence[Sequence[str]], references: Sequence[Texts]) -> dict[str, Found]:
        """Each usable scorer's value for the corpus and for each photo; one that fails now goes over to `reasons`.

        Args:
            captions: PTB tokens of each photo's caption
            references: PTB tokens of each photo's references
        """
        said, theirs = [" ".join(words) for words in captions], [[" ".join(words) for words in of_photo] for of_photo in references]
        found = {}
        for name in tuple(self.usable):
            try:
                found[name] = self._score(name, said, theirs)
            except OfficialError as error:
                self.usable.remove(name)
                self.reasons.append(f"no {name.upper()}: {error}")
        return found

    def signature(self) -> dict[str, str]:
        """Versions, if any scorer works."""
        known = {"meteor": meteor.VERSION, "spice": spice.VERSION}
        return {name: f"{known[name]},ptb" for name in self.usable} | (versions() if self.usable else {})

    def _score(self, name: str, captions: Sequence[str], references: Texts) -> Found:
        if name == "spice":
            return spice.spice(captions, references, self.models)
        with meteor.Meteor() as jar:
            return jar.scores(captions, references)
