"""The page of `showattend evaluate --report`: valid and self-contained HTML, escaped data, and values that can be counted by hand."""

import json
import os
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from showattend.cli.main import main

VOID = {"meta", "img", "rect", "br"}


class Page(HTMLParser):
    """The elements and texts of a page; asserts that elements close in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID or tag == "rect":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style" and data.strip():
            self.texts.append(data.strip())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def page(tmp_path: Path, photos: int, *, caption: str = "a dog runs in the snow {}", with_photos: bool = False) -> Page:
    """The report of this many photos with two references each; the captions of the first half repeat a reference."""
    lines = ["image,caption"]
    for number in range(photos):
        lines += [f'{number}.jpg,"a dog runs in the snow {number}"', f'{number}.jpg,"<b>snow & ice</b>"']
        if with_photos:
            Image.new("RGB", (640, 320), (255, 0, 0)).save(tmp_path / f"{number}.jpg")
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    rows = [{"image_id": f"{n}.jpg", "caption": caption.format(n) if n < photos / 2 else "a cat"} for n in range(photos)]
    (tmp_path / "captions.json").write_text(json.dumps(rows))
    line = ["evaluate", "--results", str(tmp_path / "captions.json"), "--report", str(tmp_path / "page.html")]
    line += ["--data.root", str(tmp_path), "--split", "train"] if with_photos else ["--references", str(tmp_path / "mine.csv")]
    assert main(line) == 0
    return Page(tmp_path / "page.html")


def test_the_page_is_complete_and_needs_no_other_file(tmp_path: Path) -> None:
    report = page(tmp_path, 50)
    text = (tmp_path / "page.html").read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert 'lang="en"' in text
    assert "viewport" in text
    assert "http:" not in text
    assert "https:" not in text
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in report.tags}
    assert report.count("article") == 40
    assert "The 20 best photos by CIDEr-D" in report.texts
    assert any(text.startswith("photos:50/50|") for text in report.texts)
    for name in ("BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr-D"):
        assert name in report.texts


def test_no_photo_is_both_among_the_best_and_the_worst(tmp_path: Path) -> None:
    report = page(tmp_path, 5)
    assert report.count("article") == 5
    assert "The 3 best photos by CIDEr-D" in report.texts
    shown = [text for text in report.texts if text.endswith(".jpg")]
    assert set(shown[:3]) == {"0.jpg", "1.jpg", "2.jpg"}
    assert set(shown[3:]) == {"3.jpg", "4.jpg"}


def test_captions_and_references_are_escaped(tmp_path: Path) -> None:
    report = page(tmp_path, 4, caption="<script>alert('{}')</script>&amp;")
    assert not {"script", "b"} & {tag for tag, _ in report.tags}
    assert "<script>alert('0')</script>&amp;" in report.texts
    assert "<b>snow & ice</b>" in report.texts


def test_a_name_that_is_no_utf_8_does_not_lose_the_page(tmp_path: Path) -> None:
    page(tmp_path, 4)
    references = (tmp_path / "mine.csv").rename(tmp_path / os.fsdecode(b"m_\xff.csv"))
    line = ["evaluate", "--results", str(tmp_path / "captions.json"), "--report", str(tmp_path / "page.html")]
    assert main([*line, "--references", str(references)]) == 0
    assert "m_\\udcff.csv" in (tmp_path / "page.html").read_text()


def test_photos_are_small_and_embedded_in_the_page(tmp_path: Path) -> None:
    report = page(tmp_path, 8, with_photos=True)
    pictures = [attributes["src"] or "" for tag, attributes in report.tags if tag == "img"]
    assert len(pictures) == 8
    assert all(source.startswith("data:image/jpeg;base64,/9j/") and len(source) < 5000 for source in pictures)
    assert "new: in none of the training captions" in report.texts


def test_the_diversity_table_equals_values_counted_by_hand(tmp_path: Path) -> None:
    """Four photos: "a dog runs in the snow 0" and "… 1", and "a cat" twice; the first references are four different captions."""
    texts = page(tmp_path, 4).texts
    rows = {name: texts[texts.index(name) + 1 :][:2] for name in texts if name.startswith(("different", "distinct"))}
    assert rows["different words"] == ["9", "10"]
    assert rows["distinct-1: different words over all words"] == ["0.5000", "0.3571"]  # 9 of 18, 10 of 28
    assert rows["distinct-2: different pairs of words over all pairs"] == ["0.5714", "0.3750"]  # 8 of 14, 9 of 24
    assert rows["different captions"] == ["75.0%", "100.0%"]
    assert any("captions, 4.5 on average" in text for text in texts)


def test_a_report_path_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--results", "R", "--references", "F", "--report", str(tmp_path)]) == 2
    assert "it is a folder" in capsys.readouterr().err
