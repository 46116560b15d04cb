"""What the documents show works: their commands parse, their Python runs, and the tutorial runs from its first line to its last."""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from showattend.cli.main import main, make_parser
from showattend.cli.training import COMMANDS as TRAINING

TOP = Path(__file__).parents[2]
PAGES = [
    *(TOP / name for name in ("README.md", "CONTRIBUTING.md", "data/README.md")),
    *sorted((TOP / "docs").glob("*.md")),
    *sorted((TOP / "docs" / "runs").rglob("README.md")),
]
BLOCK = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.S | re.M)
PLACEHOLDER = re.compile(r"…|\b(CHANGE|SEED)\b")  # a line that the reader completes
# Enough of a training to leave a model, and no more.
SHORT = [
    "--trainer.max_epochs=1",
    "--trainer.check_val_every_n_epoch=1",
    "--trainer.limit_train_batches=2",
    "--trainer.limit_val_batches=1",
]


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(page.read_text(encoding="utf-8")) if name == language]


def commands(page: Path) -> list[list[str]]:
    """Every `showattend …` line of the page's shell blocks, without comments and the lines that the reader completes."""
    texts = [text.replace("\\\n", " ") for language in ("", "console", "bash", "sh") for text in blocks(page, language)]
    lines = [line.removeprefix("$ ").removeprefix("in-docker ") for text in texts for line in text.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("showattend ") and not PLACEHOLDER.search(line)]


def test_the_pages_whose_examples_are_tried_are_those_that_users_read_first() -> None:
    assert {"README.md", "docs/study.md", "docs/tutorial.md"} <= {name(page) for page in PAGES if commands(page)}
    assert "README.md" in {name(page) for page in PAGES if blocks(page, "python")}


def name(page: Path) -> str:
    return str(page.relative_to(TOP))


@pytest.fixture
def workplace(model: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the examples' model and photo lie where they say."""
    (tmp_path / "runs" / "flickr8k").mkdir(parents=True)
    (tmp_path / "runs" / "flickr8k" / "model").symlink_to(model)
    shutil.copy(next((shapes / "images").glob("test*")), tmp_path / "photo.jpg")
    (tmp_path / "shapes").symlink_to(shapes)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name)
def test_every_command_of_a_page_parses(page: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in commands(page):
        if arguments[0] in TRAINING:
            with pytest.raises(SystemExit) as done:
                main([*arguments, "--print_config"])
            assert done.value.code == 0, (arguments, capsys.readouterr().err)
        else:
            make_parser().parse_args(arguments)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_every_python_example_of_a_page_runs(page: Path, workplace: Path) -> None:
    for source in blocks(page, "python"):
        exec(compile(source, str(page), "exec"), {"__name__": "example"})


def test_the_tutorial_runs_from_its_first_line_to_its_last(workplace: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = TOP / "docs" / "tutorial.md"
    source = next(text for text in blocks(page, "python") if "class Minimal" in text)
    (workplace / "my_cells.py").write_text(source)
    monkeypatch.setenv("SHOWATTEND_CACHE", str(workplace / "cache"))
    for arguments in commands(page):
        if arguments[0] != "shapes":  # a smaller data set lies there already
            status = main([*arguments, *(SHORT if arguments[0] == "fit" else [])])
            # A model of two steps may say nothing about a photo, which `evaluate` reports with status 1.
            assert status in ((0, 1) if arguments[0] == "evaluate" else (0,)), arguments
        if arguments[0] == "fit" and "lstm" in arguments:  # two steps teach no nouns: go on with the suite's trained model
            shutil.rmtree(workplace / "runs" / "lstm" / "model")
            shutil.copytree(model, workplace / "runs" / "lstm" / "model")
    assert {path.name for path in workplace.glob("*.png")} == {"attention.png", "gates.png"}


def test_the_readme_fits_on_one_page() -> None:
    assert len((TOP / "README.md").read_text(encoding="utf-8").split()) <= 1000


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", (TOP / "README.md").read_text(encoding="utf-8")):
        assert os.path.exists(TOP / target), target
