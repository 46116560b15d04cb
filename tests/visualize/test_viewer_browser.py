"""The viewer in a real browser: words light up the right places, by mouse and by keyboard, and the page keeps to itself."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bright_square import bright_square_photo, brightness_caption, square_of
from pages import brightest_point, serious_faults, stage_pixels, watch_page
from PIL import Image

from showattend.inference import Caption
from showattend.visualize import IndexEntry, index_page, save_figure, viewer_page
from showattend.visualize.maps import photo_of

SIZES = [(300, 200), (200, 300), (420, 210), (240, 240)]
OpenPage = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[OpenPage]:
    """Open captions in the viewer; afterwards the console must be free of errors, and no request may have left the page."""
    problems: list[str] = []
    contexts = []

    def open_page(captions: Caption | dict[str, Caption], name: str = "photo.jpg", **context: Any) -> Any:
        contexts.append(browser.new_context(**{"viewport": {"width": 460, "height": 640}, "reduced_motion": "reduce", **context}))
        page = contexts[-1].new_page()
        watch_page(page, problems, ("file:", "data:"))
        captions = captions if isinstance(captions, dict) else {"": captions}
        path = tmp_path / f"page{len(contexts)}.html"
        path.write_text(viewer_page(photo_of(next(iter(captions.values()))), name, captions), encoding="utf-8")
        page.goto(path.as_uri())
        page.wait_for_selector(".words")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not problems


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "grey.png"
    Image.new("RGB", (300, 200), (90, 90, 90)).save(path)
    return path


def corners(photo: Path) -> Caption:
    """Five words that look at the four corners of a grid of 7 by 7 and at its centre."""
    caption = brightness_caption(photo, "stretch", words=5)
    alphas = torch.full((5, 49), 0.001)
    for word, location in enumerate((8, 12, 36, 40, 24)):
        alphas[word, location] = 1.0
    log_probs = torch.tensor([0.9, 0.5, 0.25, 0.1, 0.01, 0.5]).log()
    return replace(caption, words=["one", "two", "three", "four", "five"], alphas=alphas, log_probs=log_probs, betas=torch.full((5,), 0.5))


def test_a_click_on_each_word_lights_up_where_the_model_looked(open_page: OpenPage, photo: Path) -> None:
    page = open_page(corners(photo))
    dark = stage_pixels(page)
    words = page.locator(".words button")
    for word, location in enumerate((8, 12, 36, 40, 24)):
        words.nth(word).click()
        x, y = brightest_point(page, (300, 200))
        assert abs(x - (location % 7 + 0.5) / 7 * 300) < 300 / 14
        assert abs(y - (location // 7 + 0.5) / 7 * 200) < 200 / 14
        assert words.nth(word).get_attribute("aria-pressed") == "true"
    words.nth(4).click()
    page.mouse.move(0, 0)
    assert np.array_equal(stage_pixels(page), dark)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_map_lies_on_the_photo(orientation: int, open_page: OpenPage, tmp_path: Path) -> None:
    size = SIZES[orientation % len(SIZES)]
    path = bright_square_photo(tmp_path / "photo.jpg", size, orientation)
    caption = brightness_caption(path, "crop" if orientation % 2 else "stretch")
    page = open_page(caption)
    page.locator(".words button").first.click()
    x, y = brightest_point(page, size)
    left, upper, right, lower = square_of(size)
    half = max(caption.grid_box[2] - caption.grid_box[0], caption.grid_box[3] - caption.grid_box[1]) / 14
    assert left - half <= x <= right + half
    assert upper - half <= y <= lower + half
    assert page.locator(".unseen").is_visible() == bool(orientation % 2)


def test_a_vector_figure_is_brightest_where_the_photo_has_its_square(browser: Any, tmp_path: Path) -> None:
    caption = brightness_caption(bright_square_photo(tmp_path / "photo.jpg", (300, 200), 6), "crop")
    figure = caption.figure()
    save_figure(figure, tmp_path / "figure.svg")
    page = browser.new_page(viewport={"width": 1200, "height": 600})
    page.goto((tmp_path / "figure.svg").as_uri())
    size = page.evaluate("(({ width, height }) => [width, height])(document.documentElement.getBoundingClientRect())")
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"), dtype=float)
    page.close()
    left, lower, right, upper = figure.axes[1].get_position().extents
    panel = picture[round((1 - upper) * size[1]) : round((1 - lower) * size[1]), round(left * size[0]) : round(right * size[0])]
    panel = np.where(panel > 200, 0, panel)  # what the network did not see is nearly white
    y, x = np.unravel_index(panel.argmax(), panel.shape)
    left, upper, right, lower = square_of((300, 200))
    half = (caption.grid_box[2] - caption.grid_box[0]) / 14
    assert left - half <= (x + 0.5) / panel.shape[1] * 300 <= right + half
    assert upper - half <= (y + 0.5) / panel.shape[0] * 200 <= lower + half


def test_the_keyboard_alone_reaches_every_word(open_page: OpenPage, photo: Path) -> None:
    page = open_page(corners(photo))
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.word") == "0":
            break
    for word in ("0", "1", "2"):
        assert page.locator(".stage").get_attribute("data-word") == word
        page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    assert page.locator(".stage").get_attribute("data-word") == "4"
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowLeft")
    assert page.locator(".stage").get_attribute("data-word") == "3"
    page.keyboard.press("Escape")
    assert page.locator(".stage").get_attribute("data-word") == ""


def test_hovering_shows_a_word_and_leaving_shows_the_chosen_one_again(open_page: OpenPage, photo: Path) -> None:
    page = open_page(corners(photo))
    words = page.locator(".words button")
    words.nth(1).click()
    words.nth(3).hover()
    assert page.locator(".stage").get_attribute("data-word") == "3"
    page.mouse.move(0, 0)
    assert page.locator(".stage").get_attribute("data-word") == "1"
    page.locator(".strip").first.locator("i").nth(2).click()
    assert page.locator(".stage").get_attribute("data-word") == "2"
    assert page.locator(".strip .value").all_inner_texts() == ["25%", "0.50", "0.5 bits"]


def test_every_style_paints_the_word_and_nothing_without_one(open_page: OpenPage, photo: Path) -> None:
    page = open_page(corners(photo))
    plain, painted = stage_pixels(page), []
    for style in ("Spotlight", "Heat", "Contours", "Boxes"):
        page.get_by_role("button", name=style).click()
        assert np.array_equal(stage_pixels(page), plain)
        page.locator(".words button").nth(0).click()
        painted.append(stage_pixels(page))
        page.locator(".words button").nth(0).click()
        page.mouse.move(0, 0)
    assert all(not np.array_equal(one, plain) for one in painted)


def test_play_types_the_caption(open_page: OpenPage, photo: Path) -> None:
    page = open_page(corners(photo))
    page.get_by_role("button", name="play the caption word by word").click()
    later = page.locator(".words button.later")
    for word in ("1", "2", "3"):
        page.locator(f".stage[data-word='{word}']").wait_for()
    assert later.count() <= 1
    page.get_by_role("button", name="stop").click()
    assert later.count() == 0


def test_captions_and_models_are_switched_apart(open_page: OpenPage, photo: Path) -> None:
    caption = corners(photo)
    other = replace(caption, words=["another", "caption"], alphas=caption.alphas[:2], log_probs=None, betas=None)
    page = open_page({"lstm": replace(caption, alternatives=[other]), "gru": replace(other, locations=torch.tensor([8, 12]))})
    first, second = page.locator(".model").all()
    first.get_by_role("button", name="another caption").click()
    assert first.locator(".words").inner_text().split() == ["another", "caption"]
    second.locator(".words button").nth(1).click()
    assert first.locator(".stage").get_attribute("data-word") in (None, "")
    assert "one location, outlined" in second.locator(".about").inner_text()


def test_words_are_buttons_with_a_description(open_page: OpenPage, photo: Path) -> None:
    page = open_page(corners(photo))
    assert page.get_by_role("button", name="one: looked at the upper left, probability 90%").is_visible()
    assert page.get_by_role("button", name="five: looked at the centre, probability 1.0%").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(scheme: str, open_page: OpenPage, photo: Path) -> None:
    words = ["a", "Donaudampfschifffahrtsgesellschaft", "كلب", "naïve", *["word"] * 16]
    caption = brightness_caption(photo, "crop", words=20)
    caption = replace(caption, words=words, gates=[{"i": torch.rand(20, 4)}], log_probs=torch.zeros(21))
    page = open_page({"m" * 60: caption, "n": caption}, "x" * 200 + ".jpg", viewport={"width": 360, "height": 640}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_names_and_words_of_any_kind_stay_text(open_page: OpenPage, photo: Path) -> None:
    nasty = """<img src=x onerror=alert(1)></script><script>alert(2)</script>"'"""
    caption = replace(brightness_caption(photo, "crop"), words=[nasty])
    page = open_page({nasty: replace(caption, alternatives=[caption])}, nasty)
    assert page.locator(".words").inner_text() == nasty
    assert nasty in page.locator(".file").inner_text()


def test_a_print_shows_a_picture_for_each_word(open_page: OpenPage, photo: Path) -> None:
    page = open_page(corners(photo))
    assert page.pdf().startswith(b"%PDF")
    assert page.locator(".sheet canvas").count() == 5


def test_in_a_notebook_the_frame_grows_to_the_viewer(browser: Any, photo: Path) -> None:
    page = browser.new_page()
    page.set_content(corners(photo)._repr_html_())
    frame = page.frame_locator("iframe")
    frame.locator(".words button").nth(2).click()
    frame.locator(".stage[data-word='2']").wait_for()  # the map has moved there
    grown = "frame => frame.clientHeight !== 640 && Math.abs(frame.clientHeight - frame.contentDocument.body.scrollHeight) <= 8"
    page.wait_for_function(grown, arg=page.locator("iframe").element_handle())
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(scheme: str, open_page: OpenPage, photo: Path, tmp_path: Path) -> None:
    caption = corners(photo)
    page = open_page({"lstm": replace(caption, alternatives=[caption]), "gru": brightness_caption(photo, "crop")}, color_scheme=scheme)
    page.locator(".words button").first.click()
    assert serious_faults(page) == []
    entry = IndexEntry.of(photo_of(caption), "photo.html", photo.name, str(caption))
    (tmp_path / "index.html").write_text(index_page("1 photo", [entry], ["broken.png: not a picture"]), encoding="utf-8")
    page.goto((tmp_path / "index.html").as_uri())
    assert serious_faults(page) == []


def test_a_right_to_left_caption_begins_on_the_right(open_page: OpenPage, photo: Path) -> None:
    page = open_page(replace(brightness_caption(photo, "stretch", words=3), words=["كلب", "بني", "يركض"]))
    first, last = (page.locator(".words button").nth(word).bounding_box() for word in (0, 2))
    assert page.locator(".play").bounding_box()["x"] > first["x"] > last["x"]
    page.locator(".words button").first.focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".stage").get_attribute("data-word") == "1"


def test_contours_are_not_offered_where_one_location_was_taken(open_page: OpenPage, photo: Path) -> None:
    page = open_page(replace(corners(photo), locations=torch.tensor([8, 12, 36, 40, 24])))
    assert page.locator(".styles button").all_inner_texts() == ["Spotlight", "Heat", "Boxes"]
