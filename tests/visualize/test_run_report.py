"""`showattend report`: figures and captions of a run on one page, in a browser; damaged runs are one line."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import serious_faults, watch_page

from showattend.cli.main import main
from showattend.visualize import read_run


@pytest.fixture(scope="module")
def page_file(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "report.html"
    assert main(["report", str(run), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def page(browser: Any, page_file: Path) -> Iterator[Any]:
    problems: list[str] = []
    page = browser.new_page(viewport={"width": 1000, "height": 800}, reduced_motion="reduce")
    watch_page(page, problems, ("file:", "data:"))
    page.goto(page_file.as_uri())
    yield page
    page.close()
    assert not problems


def test_the_history_holds_each_epoch_once_with_its_time_and_memory(run: Path) -> None:
    history = read_run(run)
    with (run / "metrics.csv").open(newline="") as file:
        scores = [float(row["val_bleu4"]) for row in csv.DictReader(file) if row["val_bleu4"]]
    assert [history.epochs[epoch]["val_bleu4"] for epoch in history.validated] == scores
    assert history.best == history.validated[scores.index(max(scores))]
    assert list(history.seconds) == list(range(24))
    assert min(history.memory.values()) > 2**26
    assert history.about["photos"] == {"train": 48, "val": 8}


def test_the_kept_captions_are_those_of_the_validated_epochs(run: Path, model: Path) -> None:
    from showattend import Captioner

    history = read_run(run)
    assert list(history.grown) == history.validated
    assert history.best == history.validated[-1]
    captioner = Captioner.from_pretrained(model, "cpu")
    for photo in history.grown[history.validated[-1]]:
        assert photo["caption"]["words"] == captioner.caption(photo["file"]).words


def test_captions_grow_from_epoch_to_epoch_and_words_light_up(page: Any) -> None:
    viewer = page.locator(".photos .showattend").first
    assert viewer.locator(".others small").all_inner_texts() == ["epoch 24", "epoch 12"]
    viewer.locator(".others button").nth(1).click()
    viewer.locator(".words button").first.click()
    viewer.locator(".stage[data-word='0']").wait_for()


def test_the_best_epoch_is_marked_in_the_table_of_all_epochs(page: Any, run: Path) -> None:
    page.get_by_text("Every epoch").click()
    assert page.locator("tr.best th").inner_text() == str((read_run(run).best or 0) + 1)
    assert page.locator("details tbody tr").count() == 24
    page.get_by_text("Configuration").click()
    assert "check_val_every_n_epoch: 12" in page.locator("pre").inner_text()


def test_nobody_is_kept_out_of_the_report(page: Any) -> None:
    assert serious_faults(page) == []
    page.set_viewport_size({"width": 360, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_run_without_history_has_its_curves(run: Path, tmp_path: Path) -> None:
    (tmp_path / "<b>run").mkdir()
    shutil.copy(run / "metrics.csv", tmp_path / "<b>run")
    assert main(["report", str(tmp_path / "<b>run")]) == 0
    page = (tmp_path / "<b>run" / "report.html").read_text()
    assert "<polyline" in page
    assert "<b>run" not in page


def test_what_is_no_run_is_one_line(run: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "holds no metrics.csv" in refused("report", tmp_path)
    assert "end its name with .html" in refused("report", run, "--out", tmp_path / "report.pdf")
    (tmp_path / "metrics.csv").write_text("epoch,val_loss\n1,none\n")
    assert "no such table" in refused("report", tmp_path)
    shutil.copy(run / "metrics.csv", tmp_path)
    (tmp_path / "history").mkdir()
    for name, content in (
        ("epoch-0001.json", [1]),
        ("epoch-0001.json", {"seconds": "x"}),
        ("epoch-0001.json", {"photos": [{}]}),
        ("epoch-0001.json", {}),
        ("about.json", {"photos": {"val": "x"}}),
    ):
        (tmp_path / "history" / name).write_text(json.dumps(content))
        if content:
            assert "no JSON as showattend fit writes it" in refused("report", tmp_path)
