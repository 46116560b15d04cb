"""A process of its own gives the result of a function, and how it died."""

import os
import signal
from collections.abc import Sequence

import numpy as np
import pytest

from showattend.isolation import ChildDied, run_in_child, run_in_children


def test_a_child_gives_its_result_or_says_how_it_died() -> None:
    assert np.array_equal(run_in_child(np.arange, 2**16), np.arange(2**16))
    with pytest.raises(ChildDied, match="its memory is used up"):
        run_in_child(np.ones, (2**31, 2**3))
    with pytest.raises(ChildDied, match="SIGSEGV"):
        run_in_child(signal.raise_signal, signal.SIGSEGV)


def test_only_the_item_that_kills_its_process_is_lost() -> None:
    def squares(numbers: Sequence[int]) -> list[int]:
        if 3 in numbers:
            os.kill(os.getpid(), signal.SIGKILL)
        return [number**2 for number in numbers]

    assert run_in_children(squares, [1, 2], lambda *_: -1) == [1, 4]
    died: list[tuple[int, str]] = []
    assert run_in_children(squares, [1, 2, 3, 4], lambda *death: died.append(death) or -1) == [1, 4, -1, 16]
    assert died == [(3, "the process that decodes it dies (SIGKILL)")]
