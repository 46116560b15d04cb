"""COCO's annotations through pycocotools."""

from pathlib import Path
from typing import Any

from showattend.errors import InputError


def read_coco(path: Path) -> Any:
    """A file of annotations in COCO's format, as pycocotools' `COCO`.

    Raises:
        InputError: it is none.
    """
    # pycocotools prints while it works, and what it prints is of no use here.
    import contextlib
    import io

    from pycocotools.coco import COCO

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return COCO(path)
    except (OSError, KeyError, TypeError, ValueError, AssertionError) as error:
        raise InputError(f"{path} is not in COCO's format: {error!r}") from error
