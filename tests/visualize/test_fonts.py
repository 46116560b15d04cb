"""Captions of any script: fonts that have the characters, the direction of reading, and a line where no font fits."""

import unicodedata
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest
from bright_square import brightness_caption
from matplotlib.ft2font import FT2Font
from PIL import Image

from showattend.visualize import fonts, save_figure

ARABIC = ["كلب", "بني", "يركض"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "grey.png"
    Image.new("RGB", (90, 60), (90, 90, 90)).save(path)
    return path


@pytest.mark.parametrize(
    ("text", "expected"), [("كلب", True), ("הכלב", True), ("3 كلب", True), ("a dog", False), ("naïve", False), ("狗", False), ("", False)]
)
def test_the_first_letter_tells_the_direction(text: str, expected: bool) -> None:
    assert fonts.is_right_to_left(text) == expected


def test_panels_of_a_right_to_left_caption_begin_on_the_right(photo: Path) -> None:
    figure = replace(brightness_caption(photo, "stretch", words=3), words=ARABIC).figure()
    lefts = [axis.get_position().x0 for axis in figure.axes]
    assert lefts == sorted(lefts, reverse=True)
    assert [axis.get_title() for axis in figure.axes] == ["", *ARABIC]


def test_a_character_that_the_default_font_lacks_is_drawn_with_one_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "STIXNonUni.ttf"
    missing = sorted(set(FT2Font(str(path)).get_charmap()) - fonts._codes(fonts.DEFAULT))
    character = next(chr(code) for code in missing if unicodedata.category(chr(code)) not in ("Cc", "Cf", "Cn", "Cs", "Mn"))
    monkeypatch.setattr(fonts, "_installed", lambda: [("STIXNonUnicode", path)])
    assert fonts.families(f"a {character}") == [fonts.FAMILY, "STIXNonUnicode"]
    assert fonts.pillow_font(character, 20).path == str(path)
    assert fonts.families("naïve žluťoučký كلب") == [fonts.FAMILY]


def test_where_no_font_has_a_character_one_line_says_which_to_install(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fonts, "_installed", lambda: [])
    monkeypatch.setattr(fonts, "_reported", set())
    caption = replace(brightness_caption(photo, "stretch", words=2), words=["狗", "跑"])
    save_figure(caption.figure(), photo.with_suffix(".pdf"))
    (line,) = capsys.readouterr().err.splitlines()
    assert "apt-get install fonts-noto-cjk" in line
