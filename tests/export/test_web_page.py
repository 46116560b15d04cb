"""The exported page captions in a browser as Python does, shows where it looked, and sends nothing anywhere."""

import base64
import io
import json
import shutil
import sys
import tarfile
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import untrained_model
from pages import serious_faults, stage_pixels, watch_page
from PIL import Image

from showattend.data.transforms import Preprocessing
from showattend.decoding import GenerationConfig
from showattend.errors import InputError
from showattend.export import export_page, ort_web
from showattend.export.ort_web import FILES, ort_web_files
from showattend.export.web_page import add_page
from showattend.inference import Captioner
from showattend.vocabulary import join_tokens, token_label

SEARCH = {"beam": 4, "num_captions": 3, "length_penalty": 0.5, "no_repeat_ngram": 3, "min_length": 2}


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def runtime() -> dict[str, bytes]:
    try:
        return ort_web_files()
    except InputError as error:
        pytest.skip(f"the exported page is not tested in a browser: {error}")


@pytest.fixture(scope="module")
def address(exported: Path, runtime: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of the suite's trained model, served by an ordinary server."""
    folder = tmp_path_factory.mktemp("web") / "page"
    shutil.copytree(exported, folder)
    add_page(folder, runtime)
    # Every option that the browser's search has.
    contract = json.loads((folder / "contract.json").read_text())
    contract["generation"] |= SEARCH
    (folder / "contract.json").write_text(json.dumps(contract))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    problems: list[str] = []
    page = browser.new_page(viewport={"width": 900, "height": 1000}, reduced_motion="reduce")
    watch_page(page, problems, (address, "blob:", "data:"))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page
    page.close()
    assert not problems


def test_a_photo_has_the_captions_of_python_and_its_words_light_up(page: Any, model: Path, shapes: Path) -> None:
    captioner = Captioner.from_pretrained(model, "cpu")
    config = GenerationConfig(max_length=captioner.model.generation.max_length, **SEARCH)  # type: ignore[arg-type]
    for photo in sorted((shapes / "images").glob("test*"))[:3]:
        page.set_input_files("#file", photo)
        page.wait_for_selector(f".file:text-is('{photo.name}')")
        best = captioner.caption(photo, config)
        assert page.locator(".words button").all_inner_texts() == best.words
        listed = [row.split("\n") for row in page.locator(".others button").all_inner_texts()]
        assert [words for words, _ in listed] == [str(each) for each in (best, *best.alternatives)]
        assert [float(score.replace("−", "-")) for _, score in listed] == pytest.approx(
            [each.score for each in (best, *best.alternatives)], abs=0.011
        )
    dark = stage_pixels(page)
    page.locator(".words button").first.click()
    assert not np.array_equal(stage_pixels(page), dark)
    assert "The photo has not left this page" in page.locator("#status").inner_text()
    assert serious_faults(page) == []


def test_what_is_no_photo_is_said_and_the_next_photo_is_captioned(page: Any, shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("no photo")
    page.set_input_files("#file", tmp_path / "text.txt")
    page.wait_for_selector("#status:has-text('This browser cannot read text.txt')")
    photo = min((shapes / "images").glob("test*"))
    page.set_input_files("#file", photo)
    page.wait_for_selector(f".file:text-is('{photo.name}')")
    assert page.locator(".words button").count() > 0


@pytest.mark.parametrize("resize", ["stretch", "crop"])
def test_the_browser_resizes_as_pillow_does(resize: str, page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    for size in ((48, 48), (37, 100), (300, 200), (331, 311)):
        image = Image.fromarray(np.random.default_rng(size).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
        image.save(content := io.BytesIO(), "PNG")
        preprocessing = Preprocessing(48, resize, size[0] > 100)
        found = page.evaluate(
            """async ([content, preprocessing]) => {
                const { readPicture, toPixels } = await import("./preprocess.js");
                const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
                return btoa(String.fromCharCode(...toPixels(await readPicture(new Blob([bytes])), preprocessing)));
            }""",
            [base64.b64encode(content.getvalue()).decode(), asdict(preprocessing)],
        )
        expected = preprocessing.to_array(image)
        assert np.array_equal(np.frombuffer(base64.b64decode(found), np.uint8).reshape(expected.shape), expected)


@pytest.mark.parametrize(
    ("tokenizer", "words"), [("bpe", ["▁a", "▁do", "g", "▁"]), ("char", ["一", "狗", "runs", "fast", "草"]), ("nltk", ["a", "dog"])]
)
def test_the_browser_spells_captions_as_python_does(tokenizer: str, words: list[str], page: Any) -> None:
    spelled = page.evaluate("async ([words, name]) => (await import('./captioner.js')).spell(words, name)", [words, tokenizer])
    assert spelled == {"text": join_tokens(words, tokenizer), "words": [token_label(word, tokenizer) for word in words]}


def test_a_package_that_is_not_the_tested_one_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "package.tgz"
    with tarfile.open(other, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("package/dist/evil.js"), io.BytesIO())
    with pytest.raises(InputError, match=r"is not onnxruntime-web [\d.]+, its SHA-512 differs"):
        ort_web_files(other)
    with pytest.raises(InputError, match=r"lacks ort\.wasm"):
        ort_web_files(tmp_path)
    with pytest.raises(InputError, match="cannot read"):
        ort_web_files(tmp_path / "missing.tgz")


def test_an_unpacked_package_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    for name in FILES:
        (tmp_path / "dist" / name).write_text(name)
    assert ort_web_files(tmp_path) == {name: name.encode() for name in FILES}


def test_without_a_network_one_line_says_how_to_go_on_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise urllib.request.URLError("no network")

    monkeypatch.setenv("SHOWATTEND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ort_web.urllib.request, "urlopen", fail)
    with pytest.raises(InputError, match=r"cannot download .*no network.*: fetch it by `npm pack onnxruntime-web"):
        export_page(untrained_model(), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_search_that_the_browser_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without groups"):
        export_page(replace(untrained_model(), generation=GenerationConfig(4, groups=2)), tmp_path / "out")
