"""The options of caption generation, checked before any work begins. Light to import: the command line is made from them."""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from showattend.config_checks import check_range, check_types
from showattend.errors import InputError

# Constrained search has a bank of beams for every subset of the required words: 16 banks for 4 words.
MAX_REQUIRED_WORDS = 4
SAMPLING = ("sample", "temperature", "top_k", "top_p", "seed")  # fields that count in sampling only
RANKINGS = ("mutual_information", "consensus", "neighbors")  # other orders of the captions that beams found
SEARCHING = ("beam", "groups", "diversity", "mutual_information", "consensus", "neighbors")  # fields that count in beam search only


# More would fill the memory of whoever asks for it, or opens a folder that does.
MAX_BEAM, MAX_SAMPLES, MAX_LENGTH, MAX_TOKENS, MAX_SEED = 2**10, 2**13, 2**13, 2**16, 2**63 - 1
# With more, scores in float32 would overflow, or lose the log-probabilities in them.
MAX_EXPONENT, MAX_PENALTY = 8, 1000
# Photos of the training that `neighbors` asks; its regression takes the square of this in memory, and the cube in time.
MAX_NEIGHBORS = 2**13


@dataclass(frozen=True)
class GenerationConfig:
    """How captions are searched for, or sampled.

    Args:
        beam: hypotheses kept for each photo; 1 is greedy search
        max_length: most words, <end> included
        length_penalty: exponent a of score = log p / length^a, <end> included; 0 ranks by log p
        num_captions: captions per photo, the best first
        min_length: fewest words, <end> not included
        no_repeat_ngram: length of the n-grams that occur at most once in a caption; 0 allows all
        ban: words that no caption contains, by their ids
        must_include: words that every caption contains, by their ids
        groups: groups of beams in diverse beam search (Vijayakumar et al. 2018)
        diversity: penalty, in nats, for each beam of an earlier group with the same token at the same step
        mutual_information: lambda of reranking by maximum mutual information (Li et al. 2016): the beams' captions are ranked by
            log p(caption | photo) - lambda log p(caption), which moves generic ones down; 0: off, 0.15 costs little
        consensus: of the beams' captions the one that agrees most with the others is the best (minimum Bayes risk, Kumar and Byrne
            2004); give ten beams
        neighbors: of the beams' captions the one that agrees most with people's captions of the photos of the training, those that
            look alike above all, is the best; give 20 beams. The model folder needs these photos, see showattend neighbors; not in
            training
        sample: draw words from the model's distribution instead of searching
        temperature: divides the log-probabilities; below 1 favours probable words
        top_k: sample among the k most probable words; 0: all
        top_p: sample among the fewest words that together have this probability (Holtzman et al. 2020)
        seed: of sampling; the same seed draws the same captions

    Raises:
        InputError: a value out of its range, or options that contradict each other.
    """

    beam: int = 3
    max_length: int = 30
    length_penalty: float = 0.0
    num_captions: int = 1
    min_length: int = 0
    no_repeat_ngram: int = 0
    ban: tuple[int, ...] = ()
    must_include: tuple[int, ...] = ()
    groups: int = 1
    diversity: float = 0.5
    mutual_information: float = 0.0
    consensus: bool = False
    neighbors: bool = False
    sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "beam", "groups", minimum=1, maximum=MAX_BEAM)
        check_range(self, "num_captions", minimum=1, maximum=MAX_SAMPLES)
        check_range(self, "max_length", minimum=1, maximum=MAX_LENGTH)
        check_range(self, "min_length", "no_repeat_ngram", minimum=0, maximum=MAX_LENGTH)
        check_range(self, "length_penalty", minimum=0, maximum=MAX_EXPONENT)
        check_range(self, "diversity", "mutual_information", minimum=0, maximum=MAX_PENALTY)
        check_range(self, "top_k", minimum=0, maximum=MAX_TOKENS)
        check_range(self, "seed", minimum=0, maximum=MAX_SEED)
        if self.temperature <= 0:
            raise InputError(f"temperature is {self.temperature}: give more than 0 (a beam of 1 is greedy search)")
        check_range(self, "top_p", above=0, maximum=1)
        if self.min_length >= self.max_length:
            raise InputError(f"min_length {self.min_length} leaves no place for <end> in max_length {self.max_length}: lower min_length")
        if self.sample:
            self._check_sampling()
        else:
            self._check_beam_search()

    def __str__(self) -> str:
        always, never = (("temperature", "seed"), ("sample", "beam")) if self.sample else (("beam", "length_penalty"), ())
        parts = ["sample"] if self.sample else []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in always or (value != field.default and field.name not in never):
                amount = f" {len(value)} words" if isinstance(value, tuple) else "" if value is True else f" {value:g}"
                parts.append(f"{field.name.replace('_', ' ')}{amount}")
        return ", ".join(parts)

    @property
    def rankings(self) -> tuple[str, ...]:
        """The names of RANKINGS that are asked for."""
        return tuple(name for name in RANKINGS if getattr(self, name))

    def _check_sampling(self) -> None:
        if self.beam > 1:
            raise InputError(f"a beam of {self.beam} and sample exclude each other: leave one of them out")
        if self.groups > 1 or self.must_include or self.rankings:
            raise InputError(f"groups, must_include, {_listed(RANKINGS)} need beam search: leave out sample")

    def _check_beam_search(self) -> None:
        if (self.temperature, self.top_k, self.top_p, self.seed) != (1.0, 0, 1.0, 0):
            raise InputError("temperature, top_k, top_p and seed are options of sampling: give sample too")
        if self.num_captions > self.beam:
            raise InputError(
                f"{self.beam} beams give at most {self.beam} captions, not {self.num_captions}: give a beam of {self.num_captions}"
            )
        if self.beam % self.groups:
            raise InputError(f"{self.beam} beams cannot form {self.groups} groups of equal size: give a beam of {2 * self.groups}")
        if self.mutual_information and self.groups > 1:
            raise InputError("mutual_information ranks the captions of beams without groups: leave out groups")
        if len(self.rankings) > 1:
            raise InputError(f"{_listed(self.rankings)} rank captions in different ways: leave out all but one")
        if self.rankings and self.beam == 1:
            raise InputError(f"{self.rankings[0]} ranks the captions of several beams: give a beam of 5")
        if self.must_include:
            self._check_required_words()

    def _check_required_words(self) -> None:
        required = len(self.must_include)
        if self.groups > 1 or self.mutual_information:
            other = "groups" if self.groups > 1 else "mutual_information"
            raise InputError(f"must_include and {other} exclude each other: leave one of them out")
        if len(set(self.must_include)) < required or set(self.must_include) & set(self.ban):
            raise InputError("a word of must_include is banned, or given twice: leave it out")
        if required > MAX_REQUIRED_WORDS:
            raise InputError(f"{required} words are required: give at most {MAX_REQUIRED_WORDS}, because each doubles the number of beams")
        if required >= self.max_length:
            raise InputError(f"{required} required words and <end> do not fit into max_length {self.max_length}: raise max_length")


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def field_descriptions(config: type) -> dict[str, str]:
    """What the `Args` section of a dataclass says of each field."""
    section = inspect.getdoc(config).partition("Args:\n")[2].partition("\n\n")[0]  # type: ignore[union-attr]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}
