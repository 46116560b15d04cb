"""Scores of captions against references, with intervals, signature and comparison: computed here, shown by scoring_output.py."""

import math
from typing import NamedTuple

from showattend.arrays import Floats
from showattend.data.listings import PhotoId
from showattend.data.references import References
from showattend.data.results import Results
from showattend.metrics import Corpus, CorpusStatistics, compare, corpus_statistics, find_metric, intervals, ptb_tokenize, signature
from showattend.metrics.document_frequencies import DocumentFrequencies
from showattend.metrics.optional import OptionalScorers
from showattend.metrics.significance import Comparison, Interval
from showattend.vocabulary import TOKENIZERS as TRAINING_TOKENIZERS

TOKENIZERS = {**TRAINING_TOKENIZERS, "ptb": ptb_tokenize}


class ScoringInputs(NamedTuple):
    """Captions to score, and how to score them.

    title: whose captions, on what
    tokenizer: a name of TOKENIZERS
    optional: METEOR and SPICE, as far as they are requested and work
    search: how a model generated its captions
    training: captions that it may have learned from
    frequencies: of n-grams in a larger corpus, for CIDEr-D
    """

    title: str
    references: References
    results: Results
    tokenizer: str
    optional: OptionalScorers
    search: str
    training: tuple[str, ...]
    frequencies: DocumentFrequencies | None = None


class TokenizedCaptions(NamedTuple):
    """The tokens of each photo's caption, and of its references, for the photos that have a caption."""

    hypotheses: dict[PhotoId, list[str]]
    references: dict[PhotoId, list[list[str]]]


class Scores(NamedTuple):
    """The scores of captions by the names of metrics, and the signature, which records how they were computed.

    tokens: what was counted
    statistics: of all metrics that have intervals
    values: of the corpus; NaN: not defined for so few photos
    bounds: 95% intervals, where there are any
    per_photo: each (N,), of the metrics that tables of photos list
    """

    tokens: TokenizedCaptions
    statistics: CorpusStatistics
    values: dict[str, float]
    bounds: dict[str, Interval]
    per_photo: dict[str, Floats]
    signature: str


def compute_scores(inputs: ScoringInputs) -> Scores:
    """Score captions: all metrics that are always computed, and the optional ones that are usable."""
    tokens = tokenize_captions(inputs, inputs.tokenizer)
    statistics = corpus_statistics(tokens.hypotheses, tokens.references, inputs.frequencies)
    values = statistics.values() | dict.fromkeys(statistics.undefined, math.nan)
    per_photo = {
        name: scores
        for name, scores in statistics.per_photo().items()
        if find_metric(name).listed_per_photo and name not in statistics.undefined
    }
    if inputs.optional.usable:
        # METEOR and SPICE count PTB tokens, whatever the others count.
        for name, score in inputs.optional.scores(Corpus(*tokenize_captions(inputs, "ptb"))).items():
            values[name], per_photo[name] = score
    bounds = {name: interval for name, interval in intervals(statistics).items() if name not in statistics.undefined}
    return Scores(tokens, statistics, values, bounds, per_photo, _signature(inputs, tokens))


def compare_scores(inputs: ScoringInputs, scores: Scores, other: Results) -> dict[str, Comparison]:
    """Differences between the captions' scores and another system's, metric by metric."""
    split = TOKENIZERS[inputs.tokenizer]
    hypotheses = {photo: split(other.captions[photo]) for photo in inputs.results.captions}
    differences = compare(scores.statistics, corpus_statistics(hypotheses, scores.tokens.references, inputs.frequencies))
    return {name: difference for name, difference in differences.items() if name not in scores.statistics.undefined}


def tokenize_captions(inputs: ScoringInputs, tokenizer: str) -> TokenizedCaptions:
    """The words of each caption, and of the references of the photos that have one."""
    split, captions, texts = TOKENIZERS[tokenizer], inputs.results.captions, inputs.references.captions
    return TokenizedCaptions(
        {photo: split(caption) for photo, caption in captions.items()},
        {photo: [split(text) for text in texts[photo]] for photo in captions},
    )


def _signature(inputs: ScoringInputs, tokens: TokenizedCaptions) -> str:
    references = sum(map(len, tokens.references.values()))
    idf = {"idf": inputs.frequencies.label} if inputs.frequencies else {}
    more = {**idf, "search": inputs.search, **inputs.optional.signature()}
    return signature(inputs.tokenizer, len(tokens.hypotheses), len(inputs.references.captions), references, more)
