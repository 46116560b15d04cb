"""Captions and references are keyed by photo: nothing is scored twice, and nothing on a subset."""

from collections.abc import Mapping
from typing import TypeVar

from showattend.errors import InputError

Id = TypeVar("Id")


def common_ids(hypotheses: Mapping[Id, object], references: Mapping[Id, object]) -> list[Id]:
    """The photos, in the order of the references.

    Raises:
        InputError: the photos of the two are not the same.
    """
    if hypotheses.keys() != references.keys():
        odd = sorted(map(str, hypotheses.keys() ^ references.keys()))
        raise InputError(f"{len(odd)} photos have a caption without references or the reverse, such as {odd[0]}")
    return list(references)
