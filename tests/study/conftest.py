"""Fixtures of the tests of studies."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _no_garbage_collection() -> Iterator[None]:
    """statsmodels collects garbage at each correction of p-values, which takes half a second in a large process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gc.collect", lambda *arguments: 0)
        yield
