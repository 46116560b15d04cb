"""The page of `showattend app` in a real browser: photos, words, captions of one's own, many files, and nothing leaves the machine."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import brightest_point, corner_locations, corner_models, serious_faults, watch_page
from PIL import Image

from showattend.visualize.maps import cell_box

SIZE = (120, 80)
HARMLESS = "Method not implemented."  # Gradio warns so of its own upload button


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page; afterwards the console must be free of errors, and no request may have left this machine."""
    problems: list[str] = []
    context = browser.new_context(viewport={"width": 1000, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    watch_page(page, problems, (address, "data:", "blob:"))
    page.goto(address)
    page.locator("#photo input[type=file]").wait_for(state="attached")
    yield page
    context.close()
    assert [problem for problem in problems if problem != HARMLESS] == []


def viewer(page: Any) -> Any:
    """The frame of the viewer, once it shows a caption."""
    frame = page.frame_locator("#viewer iframe")
    frame.locator(".words button").first.wait_for()
    return frame


def test_each_word_of_an_uploaded_photo_lights_up_where_the_model_looked(page: Any, photo: Path) -> None:
    page.set_input_files("#photo input[type=file]", photo)
    frame = viewer(page)
    assert frame.locator(".name").all_inner_texts() == ["lstm", "gru"]
    caption = corner_models().captioners["lstm"].caption(photo)
    for word, location in enumerate(corner_locations(caption.grid_shape)):
        frame.locator(".words").first.locator("button").nth(word).click()
        frame.locator(f".stage[data-word='{word}']").wait_for()
        x, y = brightest_point(frame, SIZE)
        left, upper, right, lower = cell_box(caption, location)
        assert left < x < right
        assert upper < y < lower


def test_the_keyboard_alone_captions_a_photo_and_reaches_its_words(page: Any, photo: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="upload").first.focus()
        page.keyboard.press("Enter")
    chooser.value.set_files(photo)
    viewer(page)
    page.locator("#caption").focus()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "IFRAME":
            break
    frame = viewer(page)
    for _ in range(8):
        if frame.locator(".words button:focus").count():
            break
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    frame.locator(".stage[data-word='1']").wait_for()


def test_a_caption_of_ones_own_is_shown_with_its_log_probability(page: Any, photo: Path) -> None:
    page.set_input_files("#photo input[type=file]", photo)
    viewer(page)
    page.get_by_label("a caption of your own").fill("a red zebra")
    page.get_by_label("a caption of your own").press("Enter")
    page.locator("#note", has_text="log-probability").wait_for()
    assert "Not in the vocabulary, and read as <unk>: zebra." in page.locator("#note").inner_text()
    assert viewer(page).locator(".words").first.inner_text().split() == ["a", "red", "zebra"]


def test_a_broken_file_gives_a_sentence_and_the_page_goes_on(page: Any, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("no picture")
    page.set_input_files("#photo input[type=file]", tmp_path / "broken.png")
    page.get_by_text("broken.png: not a picture in a known format").wait_for()
    page.get_by_role("button", name="clear").click()
    page.set_input_files("#photo input[type=file]", photo)
    viewer(page)


def test_many_photos_become_files_and_a_gallery_and_a_broken_one_is_named(page: Any, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("no picture")
    Image.new("RGB", (50, 80)).save(tmp_path / "dark.png")
    page.get_by_role("tab", name="Many photos").click()
    page.set_input_files("#files input[type=file]", [photo, tmp_path / "broken.png", tmp_path / "dark.png"])
    page.locator("#files", has_text="dark").wait_for()  # the suffix stands in an element of its own
    page.locator("#run").click()
    page.locator("#files-note", has_text="broken.png: not a picture in a known format").wait_for()
    assert page.frame_locator("#gallery iframe").locator("li span").all_inner_texts() == ["grey.png", "dark.png"]
    with page.expect_download() as download:
        page.locator("#written a", has_text="KB").or_(page.locator("#written a")).first.click()
    with open(download.value.path(), newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["grey.png", "dark.png"]


def test_a_file_name_stays_text(page: Any, photo: Path, tmp_path: Path) -> None:
    nasty = tmp_path / """<img src=x onerror=alert(1)>"'&é.png"""
    nasty.write_bytes(photo.read_bytes())
    page.set_input_files("#photo input[type=file]", nasty)
    assert "onerror" in viewer(page).locator(".file").inner_text()
    assert page.locator("img[src=x]").count() == viewer(page).locator("img[src=x]").count() == 0


def test_an_example_is_captioned_by_the_chosen_model(page: Any) -> None:
    page.get_by_label("gru").uncheck()
    page.locator(".gallery-item, .gallery button").first.click()
    assert viewer(page).locator(".model").count() == 1


def test_an_example_that_appears_late_has_a_name_too(page: Any) -> None:
    page.locator(".gallery-item").first.wait_for()
    page.evaluate("document.querySelector('.gallery-item').parentElement.append(document.querySelector('.gallery-item').cloneNode())")
    page.get_by_role("button", name="example 2").wait_for()
    assert page.get_by_role("button", name="example 1").count() == 1


def test_nobody_is_kept_out(page: Any, photo: Path) -> None:
    assert serious_faults(page) == []
    page.set_input_files("#photo input[type=file]", photo)
    viewer(page)
    for name in ("Search", "Required and banned words", "Sampling"):
        page.get_by_role("button", name=name).click()
    assert serious_faults(page) == []
