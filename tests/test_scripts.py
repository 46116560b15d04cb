"""The benchmarks still start: nothing else notices when a module that they import has moved."""

import runpy
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.mark.parametrize("name", sorted(path.name for path in SCRIPTS.glob("bench_*.py")))
def test_every_benchmark_imports_and_describes_its_options(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    if "__main__" not in (SCRIPTS / name).read_text():
        runpy.run_path(str(SCRIPTS / name))  # what the others import
        return
    with pytest.raises(SystemExit) as exit_info:
        runpy.run_path(str(SCRIPTS / name), run_name="__main__")
    assert exit_info.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_an_unknown_case_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "argv", ["bench_growth.py", "train-X"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(SCRIPTS / "bench_growth.py"), run_name="__main__")
    assert "unknown table 'train-X': choose from train-T" in capsys.readouterr().err
