"""How captions are searched for: every choice that a user has, checked before any work begins."""

from dataclasses import dataclass, fields

from showattend.errors import InputError

# Constrained search keeps a bank of beams for every subset of the required words.
MOST_REQUIRED = 4


@dataclass(frozen=True)
class GenerationConfig:
    """How captions are searched for, or drawn.

    Raises:
        InputError: a number out of its range, or choices that contradict each other.
    """

    beam: int = 3  # K, hypotheses kept per photo; 1 is greedy
    max_length: int = 30  # most words, <end> counted
    length_penalty: float = 0.0  # exponent a of score = log p / length^a, <end> counted; 0 ranks by log p
    num_captions: int = 1  # for each photo, the best first
    min_length: int = 0  # fewest words, <end> not counted
    no_repeat_ngram: int = 0  # no n words twice in the same order; 0 allows all
    ban: tuple[int, ...] = ()  # words that are never said
    must_include: tuple[int, ...] = ()  # words that every caption says
    groups: int = 1  # of beams that keep away from each other (Vijayakumar et al. 2018)
    diversity: float = 0.5  # how much: nats for each beam of an earlier group that says the word at the same place
    sample: bool = False  # draw words by their probabilities instead of searching
    temperature: float = 1.0  # below 1 prefers the probable words
    top_k: int = 0  # draw among the k most probable words; 0: all
    top_p: float = 1.0  # draw among the fewest words that together have this probability (Holtzman et al. 2020)
    seed: int = 0  # of what is drawn

    def __post_init__(self) -> None:
        for name, least in (("beam", 1), ("max_length", 1), ("num_captions", 1), ("groups", 1)):
            _check(name, getattr(self, name), least)
        for name in ("length_penalty", "min_length", "no_repeat_ngram", "diversity", "top_k", "seed"):
            _check(name, getattr(self, name), 0)
        if self.temperature <= 0:
            raise InputError(f"temperature is {self.temperature}: give more than 0 (a beam of 1 is greedy)")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p is {self.top_p}: give more than 0 and at most 1")
        if self.min_length >= self.max_length:
            raise InputError(f"min_length {self.min_length} leaves no room for <end> in max_length {self.max_length}: lower the first")
        if self.sample:
            self._check_sample()
        else:
            self._check_beams()

    def __str__(self) -> str:
        always, never = (("temperature", "seed"), ("sample", "beam")) if self.sample else (("beam", "length_penalty"), ())
        told = ["sample"] if self.sample else []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in always or (value != field.default and field.name not in never):
                amount = f"{len(value)} words" if isinstance(value, tuple) else f"{value:g}"
                told.append(f"{field.name.replace('_', ' ')} {amount}")
        return ", ".join(told)

    def _check_sample(self) -> None:
        if self.beam > 1:
            raise InputError(f"a beam of {self.beam} searches and sample draws: leave one of the two out")
        if self.groups > 1 or self.must_include:
            raise InputError("groups and must_include need beams: leave out sample")

    def _check_beams(self) -> None:
        if (self.temperature, self.top_k, self.top_p, self.seed) != (1.0, 0, 1.0, 0):
            raise InputError("temperature, top_k, top_p and seed say how words are drawn: give sample too")
        if self.num_captions > self.beam:
            raise InputError(f"{self.num_captions} captions cannot come out of {self.beam} beams: give a beam of {self.num_captions}")
        if self.beam % self.groups:
            raise InputError(f"{self.beam} beams do not make {self.groups} groups of the same size: give a beam of {2 * self.groups}")
        if self.must_include:
            self._check_required()

    def _check_required(self) -> None:
        required = len(self.must_include)
        if self.groups > 1:
            raise InputError("must_include and groups cannot go together: leave one of the two out")
        if len(set(self.must_include)) < required or set(self.must_include) & set(self.ban):
            raise InputError("a word of must_include is banned, or given twice: leave it out")
        if required > MOST_REQUIRED:
            raise InputError(f"{required} words must be included: give at most {MOST_REQUIRED}, the beams double with each")
        if required >= self.max_length:
            raise InputError(f"{required} words and <end> do not fit into max_length {self.max_length}: raise it")


def _check(name: str, value: float, least: int) -> None:
    if value < least:
        raise InputError(f"{name} is {value}: give at least {least}")
