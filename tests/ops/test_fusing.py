"""The modes of `fuse`, and the sizes from which on it pays."""

import pytest

from showattend.errors import InputError
from showattend.ops.fusing import FUSE_MODES, fuse_mode


@pytest.mark.parametrize(("given", "mode"), [(True, "always"), (False, "never"), *((mode, mode) for mode in FUSE_MODES)])
def test_the_switch_of_earlier_files_is_a_mode(given: bool | str, mode: str) -> None:
    assert fuse_mode(given) == mode


def test_an_unknown_mode_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match="unknown fuse 'allways': did you mean 'always'"):
        fuse_mode("allways")
