"""The captions of a set of photos with their references, keyed by photo, so that no photo counts twice and none is missing."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from showattend.errors import InputError
from showattend.metrics.document_frequencies import DocumentFrequencies
from showattend.metrics.ngrams import NgramCounts, NgramIndex

Id = TypeVar("Id")
Tokens = Sequence[str]


class Corpus:
    """One caption and several references for each of N photos, as tokens.

    N-grams are counted once, at the first use, for all metrics that need them.

    Args:
        hypotheses: the tokens of one caption for each photo
        references: the tokens of each of its references
        document_frequencies: of a larger corpus; None: those of the references count

    Attributes:
        ids: the photos, in the order of the references
        hypotheses: one caption a photo, in the order of `ids`
        references: several a photo, in the order of `ids`

    Raises:
        InputError: the photos of the two are not the same, or one has no reference.
    """

    def __init__(
        self,
        hypotheses: Mapping[Any, Tokens],
        references: Mapping[Any, Sequence[Tokens]],
        document_frequencies: DocumentFrequencies | None = None,
    ) -> None:
        self.ids = common_ids(hypotheses, references)
        self.hypotheses = [hypotheses[photo] for photo in self.ids]
        self.references = [references[photo] for photo in self.ids]
        if not all(self.references):
            raise InputError(f"the photo {next(photo for photo in self.ids if not references[photo])} has no reference: leave it out")
        self.document_frequencies = document_frequencies

    def __len__(self) -> int:
        """The number of photos, N."""
        return len(self.ids)

    @cached_property
    def reference_ngrams(self) -> NgramIndex:
        """The n-grams of all references, photo after photo."""
        return NgramIndex(caption for of_photo in self.references for caption in of_photo)

    @cached_property
    def hypothesis_ngrams(self) -> list[NgramCounts]:
        """The n-grams of the captions, for n from 1 to 4."""
        return self.reference_ngrams.count(self.hypotheses)


def common_ids(hypotheses: Mapping[Id, object], references: Mapping[Id, object]) -> list[Id]:
    """The photos, in the order of the references.

    Raises:
        InputError: the photos of the two are not the same.
    """
    if hypotheses.keys() != references.keys():
        unmatched = sorted(map(str, hypotheses.keys() ^ references.keys()))
        raise InputError(f"{len(unmatched)} photos have a caption without references or the reverse, such as {unmatched[0]}")
    return list(references)
