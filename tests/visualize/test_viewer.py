"""The viewer's page: what is inside it, and that data of any kind stays text."""

import base64
import html
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bright_square import bright_square_photo, brightness_caption
from PIL import Image

from showattend.errors import InputError
from showattend.visualize import DrawingOptions, IndexEntry, index_page, viewer_data, viewer_page
from showattend.visualize.viewer.page import MAX_BYTES, data_url, read_asset

NASTY = """</script><script>alert(1)</script>"'&<!--\u2028 naïve كلب 犬"""


def embedded_data(page: str) -> dict[str, object]:
    (text,) = re.findall(r'<script type="application/json" data-viewer="viewer">(.*?)</script>', page, re.S)
    data: dict[str, object] = json.loads(text)
    return data


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return bright_square_photo(tmp_path / "photo.jpg", (300, 200))


def test_the_component_is_small() -> None:
    assert sum(len(read_asset(name).encode()) for name in ("viewer.css", "viewer.js", "viewer.html.j2")) < 40_000


def test_names_and_words_of_any_kind_stay_text(photo: Path) -> None:
    caption = replace(brightness_caption(photo, "crop"), words=[NASTY])
    page = viewer_page(Image.open(photo), NASTY, {NASTY: caption})
    assert page.count("<script") == page.count("</script>") == 2
    assert NASTY not in page
    assert embedded_data(page) == json.loads(json.dumps(viewer_data(NASTY, (300, 200), {NASTY: caption})))


def test_the_page_allows_its_own_script_and_style_and_no_address(photo: Path) -> None:
    page = viewer_page(Image.open(photo), "photo.jpg", {"": brightness_caption(photo, "crop")})
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    policy = html.unescape(policy)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.findall(r"https?://", page)


def test_the_data_can_be_written_whatever_the_numbers(photo: Path) -> None:
    caption = replace(brightness_caption(photo, "crop"), score=float("-inf"), log_probs=torch.tensor([float("-inf"), 0.0]))
    data = json.loads(json.dumps(viewer_data("x", (300, 200), {"": caption}), allow_nan=False))
    assert data["models"][0]["captions"][0]["score"] is None


def test_alternatives_gates_and_models_are_in_the_data(photo: Path) -> None:
    caption = replace(brightness_caption(photo, "crop", words=3), gates=[{"i": torch.full((3, 4), 0.25)}, {"f": torch.ones(3, 4)}])
    data = viewer_data("x", (300, 200), {"one": replace(caption, alternatives=[caption]), "two": caption})
    assert [len(model["captions"]) for model in data["models"]] == [2, 1]
    assert data["models"][0]["captions"][0]["gates"] == [
        {"name": "gate i, layer 1", "values": [0.25] * 3},
        {"name": "gate f, layer 2", "values": [1.0] * 3},
    ]


def test_a_large_photo_makes_no_large_page() -> None:
    noise = Image.effect_noise((1500, 1000), 120).convert("RGB").resize((6000, 4000), Image.Resampling.NEAREST)
    assert len(data_url(noise)) < MAX_BYTES * 4 / 3 + 100


def test_a_small_photo_keeps_every_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 256, 3), dtype=np.uint8)
    content = base64.b64decode(data_url(Image.fromarray(pixels)).removeprefix("data:image/png;base64,"))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), pixels)


def test_a_notebook_shows_the_viewer_in_a_frame_and_words_alone_without_a_photo(photo: Path) -> None:
    caption = brightness_caption(photo, "crop")
    shown = caption._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "data-viewer" in shown
    assert replace(caption, photo=None, words=["<b>"])._repr_html_() == "<p>&lt;b&gt;</p>"
    assert replace(caption, photo=photo.with_name("gone.jpg"))._repr_html_() == "<p>word1</p>"


def test_an_index_links_files_of_any_name() -> None:
    page = index_page("2 photos", [IndexEntry("a#b <c>.html", "a#b <c>.jpg", "<i>", "data:,")], ["skipped <x>: broken"])
    assert 'href="./a%23b%20%3Cc%3E.html"' in page
    assert "<i>" not in page
    assert "skipped &lt;x&gt;: broken" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": "het"}, "did you mean 'heat'"),
        ({"upsample": "cubic"}, "did you mean 'bicubic'"),
        ({"colormap": "infernal"}, "did you mean 'inferno'"),
        ({"columns": 0}, "columns is 0"),
        ({"words": (0,)}, "numbered from 1"),
    ],
)
def test_an_option_without_meaning_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DrawingOptions(**options)  # type: ignore[arg-type]


def test_a_word_that_the_caption_does_not_have_is_refused(photo: Path) -> None:
    with pytest.raises(InputError, match="the caption has 1 words"):
        brightness_caption(photo, "crop").figure(words=(2,))
