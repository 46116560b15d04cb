"""`showattend score`: a line per word, a line per caption, and the figure."""

import itertools
from pathlib import Path

import pytest

from showattend.cli.main import main


@pytest.fixture
def photo(shapes: Path) -> Path:
    return min((shapes / "images").iterdir())


def test_the_printed_log_probabilities_of_words_sum_to_that_of_the_caption(
    model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = tmp_path / "figure.png"
    assert main(["score", str(photo), "A red zebra!", "--model", str(model), "--out", str(figure)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in itertools.takewhile(lambda line: line.startswith("  "), lines)] == ["a", "red", "zebra", "<end>"]
    assert "not in the model's vocabulary" in lines[2]
    total = sum(float(line.split()[1]) for line in lines[:4])
    assert float(lines[4].split()[0]) == pytest.approx(total, abs=0.01)
    assert figure.stat().st_size > 10_000


def test_a_figure_of_two_captions_is_refused(model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(photo), "a", "b", "--model", str(model), "--out", str(tmp_path / "x.png")]) == 2
    assert "one caption" in capsys.readouterr().err
