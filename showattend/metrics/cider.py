"""CIDEr-D, as coco-caption computes what it calls CIDEr (Vedantam et al. 2015)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from showattend.arrays import Floats, Ints
from showattend.metrics.base import AdditiveMetric, register_metric
from showattend.metrics.corpus import Corpus
from showattend.metrics.document_frequencies import DocumentFrequencies
from showattend.metrics.ngrams import ORDERS, NgramCounts, NgramIndex

SIGMA = 6.0
SCALE = 10.0


class _TfIdf(NamedTuple):
    """The n-grams of one order in all captions with their TF-IDF weights, sorted by caption, then by code."""

    caption: Ints
    code: Ints
    weight: Floats  # count * log(photos / photos whose references have it)
    norm: Floats  # of each caption


class CiderD:
    """CIDEr-D against fixed references, whose photos also give the document frequencies, unless those of a larger corpus are given.

    Args:
        references: for each photo the tokens of each of its references
        ngrams: of these references, where they are counted already
        frequencies: of a larger corpus
    """

    def __init__(
        self,
        references: Sequence[Sequence[Sequence[str]]],
        ngrams: NgramIndex | None = None,
        frequencies: DocumentFrequencies | None = None,
    ) -> None:
        captions = [caption for of_photo in references for caption in of_photo]
        # N-grams of the larger corpus are counted behind the references, as captions of one n-gram each.
        grams = [gram.split(" ") for gram in frequencies.counts] if frequencies else []
        self.ngrams = NgramIndex([*captions, *grams]) if grams else ngrams or NgramIndex(captions)
        self.references_per_photo = np.array([len(of_photo) for of_photo in references], np.int64)
        self.first_reference = np.concatenate(([0], np.cumsum(self.references_per_photo)))
        self.log_photos = np.log(max(1, frequencies.photos if frequencies else len(references)))
        counts = [_first_captions(of_order, len(captions)) for of_order in self.ngrams.counts]
        if frequencies:
            self.document_frequencies = _given_frequencies(self.ngrams.counts, len(captions), grams, frequencies)
        else:
            photo_of_reference = np.repeat(np.arange(len(references)), self.references_per_photo)
            self.document_frequencies = [_document_frequencies(of_order, photo_of_reference) for of_order in counts]
        self.lengths = _lengths(counts[1], len(captions))
        self.vectors = [self._tf_idf(order, of_order, len(captions)) for order, of_order in enumerate(counts)]
        # Where each reference's n-grams begin.
        self.starts = [np.searchsorted(vectors.caption, np.arange(len(captions) + 1)) for vectors in self.vectors]

    def scores(self, photos: Sequence[int], captions: Sequence[Sequence[str]]) -> Floats:
        """CIDEr-D of captions, from 0 to 10.

        Args:
            photos: index of the photo that each caption describes, (M,)
            captions: the tokens of each caption

        Returns:
            (M,)
        """
        return self.scores_of_counts(photos, self.ngrams.count(captions))

    def scores_of_counts(self, photos: Sequence[int], counts: Sequence[NgramCounts]) -> Floats:
        """CIDEr-D of captions from their n-grams, as `ngrams.count` gives them, (M,)."""
        photo = np.asarray(photos, np.int64)
        # A pair is a caption and one reference of its photo.
        reference, caption = _ranges(self.first_reference[photo], self.references_per_photo[photo])
        difference = _lengths(counts[1], len(photo))[caption] - self.lengths[reference]
        similarity = np.zeros(len(caption))
        for order, of_order in enumerate(counts):
            similarity += self._similarity(order, self._tf_idf(order, of_order, len(photo)), caption, reference)
        similarity *= np.exp(-(difference**2) / (2 * SIGMA**2))
        sums = np.bincount(caption, similarity, len(photo))
        return SCALE / ORDERS * sums / np.maximum(1, self.references_per_photo[photo])

    def _tf_idf(self, order: int, counts: NgramCounts, captions: int) -> _TfIdf:
        codes, frequencies = self.document_frequencies[order]
        frequency = np.ones(len(counts.code))
        if len(codes):
            index = np.minimum(np.searchsorted(codes, counts.code), len(codes) - 1)
            frequency = np.where(codes[index] == counts.code, frequencies[index], 1)
        weight = counts.times * (self.log_photos - np.log(frequency))
        return _TfIdf(counts.caption, counts.code, weight, np.sqrt(np.bincount(counts.caption, weight**2, captions)))

    def _similarity(self, order: int, hypotheses: _TfIdf, caption: Ints, reference: Ints) -> Floats:
        """Clipped cosine of each pair of a caption and a reference, (P,)."""
        references, starts = self.vectors[order], self.starts[order]
        entry, pair = _ranges(starts[reference], starts[reference + 1] - starts[reference])
        distinct, index = np.unique(hypotheses.code, return_inverse=True)
        if not len(distinct) or not len(entry):
            return np.zeros(len(caption))
        # Each n-gram of the reference is searched among those of the caption: both are sorted by caption, then by code.
        position = np.minimum(np.searchsorted(distinct, references.code[entry]), len(distinct) - 1)
        keys = hypotheses.caption * len(distinct) + index
        pair_keys = caption[pair] * len(distinct) + position
        match = np.minimum(np.searchsorted(keys, pair_keys), len(keys) - 1)
        common = (distinct[position] == references.code[entry]) & (keys[match] == pair_keys)
        entry, pair, match = entry[common], pair[common], match[common]
        products = np.minimum(hypotheses.weight[match], references.weight[entry]) * references.weight[entry]
        norms = hypotheses.norm[caption] * references.norm[reference]
        return np.bincount(pair, products, len(caption)) / np.where(norms > 0, norms, 1.0)


def cider_d(hypotheses: Mapping[Any, Sequence[str]], references: Mapping[Any, Sequence[Sequence[str]]]) -> float:
    """CIDEr-D of a corpus keyed by photo, with document frequencies from these references; 0 for one photo alone.

    Args:
        hypotheses: the tokens of one caption for each photo
        references: the tokens of each of its references

    Returns:
        from 0 to 10

    Raises:
        InputError: the photos of the two are not the same.
    """
    corpus = Corpus(hypotheses, references)
    return float(cider_d_statistics(corpus).mean()) if len(corpus) else 0.0


def cider_d_statistics(corpus: Corpus) -> Floats:
    """CIDEr-D of each photo, (N,1), with document frequencies of the whole corpus, or with those that it comes with."""
    if corpus.document_frequencies:
        cider = CiderD(corpus.references, frequencies=corpus.document_frequencies)
        return cider.scores(range(len(corpus)), corpus.hypotheses)[:, None]
    cider = CiderD(corpus.references, corpus.reference_ngrams)
    return cider.scores_of_counts(range(len(corpus)), corpus.hypothesis_ngrams)[:, None]


def _first_captions(counts: NgramCounts, captions: int) -> NgramCounts:
    """The n-grams of the first captions; they are sorted by caption."""
    end = int(np.searchsorted(counts.caption, captions))
    return NgramCounts(counts.caption[:end], counts.code[:end], counts.times[:end])


def _given_frequencies(
    counts: Sequence[NgramCounts], captions: int, grams: Sequence[Sequence[str]], frequencies: DocumentFrequencies
) -> list[tuple[Ints, Ints]]:
    """For each order the codes of the given n-grams, sorted, and their frequencies; the n-grams stand behind the captions."""
    values, lengths = np.fromiter(frequencies.counts.values(), np.int64), np.array([len(gram) for gram in grams])
    found = []
    for order, of_order in enumerate(counts, 1):
        gram = of_order.caption - captions
        whole = gram >= 0
        whole[whole] = lengths[gram[whole]] == order
        codes, gram = of_order.code[whole], gram[whole]
        ranks = np.argsort(codes)
        found.append((codes[ranks], values[gram][ranks]))
    return found


def _document_frequencies(counts: NgramCounts, photo_of_reference: Ints) -> tuple[Ints, Ints]:
    """The distinct n-grams, sorted, and in how many photos' references each of them occurs."""
    codes, index = np.unique(counts.code, return_inverse=True)
    keys = np.unique(photo_of_reference[counts.caption] * max(1, len(codes)) + index)
    return codes, np.bincount(keys % max(1, len(codes)), minlength=len(codes))


def _lengths(bigrams: NgramCounts, captions: int) -> Ints:
    """The length of each caption as the official scorer takes it: the number of its 2-grams."""
    return np.bincount(bigrams.caption, bigrams.times, captions).astype(np.int64)


def _ranges(starts: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """start, start + 1, … of each range, one range after the other, and the index of the range that each belongs to."""
    index = np.repeat(np.arange(len(starts)), lengths)
    offsets = np.cumsum(lengths) - lengths
    return np.arange(len(index)) - offsets[index] + starts[index], index


register_metric(AdditiveMetric(name="cider_d", label="CIDEr-D", statistics=cider_d_statistics, limits=(0.0, SCALE), rank=2, least_photos=2))
