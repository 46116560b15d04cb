"""Fonts that have the characters of a caption, and the direction in which it is read; matplotlib and Pillow shape the text themselves."""

import unicodedata
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.font_manager import fontManager
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

from showattend.console import print_error

DEFAULT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
FAMILY = "DejaVu Sans"
PREFERRED = "Noto Sans"  # made for all scripts
_reported: set[str] = set()  # scripts whose missing font was reported
EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "FULLWIDTH")


def is_right_to_left(text: str) -> bool:
    """Whether the first letter with a direction belongs to a script that is written from the right, such as Arabic or Hebrew."""
    directions = (unicodedata.bidirectional(character) for character in text)
    return next((direction for direction in directions if direction in ("L", "R", "AL")), "L") != "L"


def families(text: str) -> list[str]:
    """matplotlib's default font, and installed ones for the characters that it lacks.

    Where no font has them one line says which to install, once.
    """
    fonts, missing = [FAMILY], _missing(DEFAULT, frozenset(text))
    for name, path in _installed():
        if not missing:
            break
        if (rest := _missing(path, missing)) < missing:
            fonts.append(name)
            missing = rest
    if missing:
        _tell(min(missing))
    return fonts


def pillow_font(text: str, size: int) -> ImageFont.FreeTypeFont:
    """The font for a text that Pillow draws or measures, which takes one font for all of it; size in pixels."""
    missing = _missing(DEFAULT, frozenset(text))
    if missing:
        families(text)  # says which font to install where there is none
    fitting = (path for _, path in _installed() if not _missing(path, missing)) if missing else iter(())
    return _load(next(fitting, DEFAULT), size)


@cache
def _load(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size)


@cache
def _installed() -> list[tuple[str, Path]]:
    """Names and files of the upright fonts of usual weight that matplotlib finds, the preferred ones first."""
    entries = {entry.name: Path(entry.fname) for entry in fontManager.ttflist if entry.style == "normal" and entry.weight == 400}
    return sorted(entries.items(), key=lambda item: (not item[0].startswith(PREFERRED), item[0]))


def _missing(path: Path, characters: frozenset[str]) -> frozenset[str]:
    """The characters that a font lacks; spaces, marks without width and the like need no glyph."""
    codes = _codes(path)
    visible = (c for c in characters if not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf", "Cn", "Cs", "Mn"))
    return frozenset(c for c in visible if ord(c) not in codes)


@cache
def _codes(path: Path) -> frozenset[int]:
    try:
        return frozenset(FT2Font(str(path)).get_charmap())
    except (OSError, RuntimeError):  # a font that the system lists and that cannot be read
        return frozenset()


def _tell(character: str) -> None:
    """Say what is missing, once for each script."""
    script = unicodedata.name(character, "UNKNOWN").split()[0]
    if script in _reported:
        return
    _reported.add(script)
    package = "fonts-noto-cjk" if script in EAST_ASIAN else "fonts-noto"
    print_error(
        f"no font here has the character {character}, so that a box stands in its place: install one that has, such as {PREFERRED} "
        f"(Debian: apt-get install {package})"
    )
