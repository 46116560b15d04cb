"""The API of the page, which `gradio_client` calls: results, what it refuses, and what it tells nobody."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def call(address: str, tmp_path: Path) -> Any:
    """Calls an endpoint with files and values."""
    gradio_client = pytest.importorskip("gradio_client")
    client = gradio_client.Client(address, verbose=False, download_files=tmp_path / "downloads")

    def call(name: str, photo: Path | list[Path], **values: Any) -> Any:
        files = [gradio_client.handle_file(path) for path in photo] if isinstance(photo, list) else gradio_client.handle_file(photo)
        return client.predict(**{"photos" if isinstance(photo, list) else "photo": files}, **values, api_name=name)

    yield call
    client.close()


def captions_of(numbers: dict[str, Any], model: str) -> list[dict[str, Any]]:
    return next(each["captions"] for each in numbers["models"] if each["name"] == model)


def test_a_caption_comes_with_its_numbers_and_options_have_the_names_of_the_commands(call: Any, photo: Path) -> None:
    note, viewer, numbers = call("/caption", photo, num_captions=2, ban="red", models=["gru"], gates=True)
    assert (note, viewer[:8]) == ("", "<iframe ")
    assert numbers["photo"] == {"name": "grey.png", "width": 120, "height": 80}
    captions = captions_of(numbers, "gru")
    assert len(captions) == 2
    assert all("red" not in caption["words"] and caption["gates"] for caption in captions)
    assert len(captions[0]["log_probs"]) == len(captions[0]["words"]) + 1


def test_sampling_and_search_leave_each_others_options_aside(call: Any, photo: Path) -> None:
    options = {"sample": True, "temperature": 2.0, "beam": 5, "min_length": 5, "models": ["lstm"]}
    words = [captions_of(call("/caption", photo, seed=seed, **options)[2], "lstm")[0]["words"] for seed in (1, 1, 2)]
    assert words[0] == words[1] != words[2]
    assert call("/caption", photo, temperature=2.0, models=["lstm"])[2] == call("/caption", photo, models=["lstm"])[2]


def test_ones_own_caption_is_scored(call: Any, photo: Path) -> None:
    note, _, numbers = call("/score", photo, caption="A red <b>star</b>", models=["lstm"])
    assert "log-probability" in note
    assert "<b>" not in note
    (caption,) = captions_of(numbers, "lstm")
    assert caption["score"] == pytest.approx(sum(caption["log_probs"]), rel=1e-3)


def test_many_photos_become_csv_json_and_a_page(call: Any, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("no picture")
    note, _, files = call("/caption_files", [photo, tmp_path / "broken.png"])
    table, data, page = map(Path, files)
    assert "The captions of the model lstm are in the files below." in note
    assert "broken.png: not a picture" in note
    with table.open(newline="") as file:
        (row,) = csv.DictReader(file)
    (entry,) = json.loads(data.read_text())
    assert (row["file"], row["caption"]) == (entry["file"], entry["caption"]) == ("grey.png", row["caption"])
    assert page.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"must_include": "zebra"}, "the model's vocabulary lacks the required word 'zebra': leave it out"),
        ({"beam": 1000}, "greater than maximum"),
        ({"models": []}, "choose at least one"),
        ({"min_length": 30}, "leaves no place for &lt;end&gt;"),  # the page shows it as HTML
    ],
)
def test_a_request_that_makes_no_sense_is_answered_with_a_sentence(values: dict[str, Any], sentence: str, call: Any, photo: Path) -> None:
    with pytest.raises(Exception, match=sentence):
        call("/caption", photo, **values)


def test_an_error_of_the_server_tells_a_visitor_nothing(call: Any, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "bug.png").write_bytes(photo.read_bytes())
    with pytest.raises(Exception, match="has not enabled verbose error reporting") as error:
        call("/caption", tmp_path / "bug.png")
    assert "secret" not in str(error.value)
    assert call("/caption", photo)[0] == "", "the server lives"


def test_a_file_that_is_too_large_is_refused(address: str) -> None:
    httpx = pytest.importorskip("httpx")
    answer = httpx.post(f"{address}gradio_api/upload", files={"files": ("large.png", bytes(1_100_000))})
    assert answer.status_code == 413
    assert "maximum allowed size" in answer.text


def test_no_file_is_read_or_served_but_what_was_uploaded(address: str, photo: Path) -> None:
    httpx = pytest.importorskip("httpx")
    for path in (str(photo), "/etc/passwd", "http://127.0.0.1:1/photo.png"):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        call = httpx.post(f"{address}gradio_api/call/v2/caption", json={"photo": file})
        answer = httpx.get(f"{address}gradio_api/call/v2/caption/{call.json()['event_id']}") if call.is_success else call
        assert "iframe" not in answer.text, answer.text
        assert "error" in answer.text
        assert not httpx.get(f"{address}gradio_api/file={path}").is_success
