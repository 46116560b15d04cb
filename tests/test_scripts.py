"""The benchmarks still start: nothing else notices when a module that they import has moved."""

import json
import runpy
import sys
from importlib import import_module
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


def test_all_benchmarks_are_run_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    runnable = {path.stem.removeprefix("bench_") for path in SCRIPTS.glob("bench_*.py") if "__main__" in path.read_text()}
    assert set(import_module("all_benchmarks").SHORT) == runnable


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


def test_the_pipeline_is_measured_and_its_parts_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(import_module("bench_common"), "PEAK_SIZE", 64)
    small = ["--encoder=squeezenet1_1", "--count=8", "--rounds=1", "--threads=1", f"--json={tmp_path / 'rows.json'}"]
    monkeypatch.setattr(sys, "argv", ["bench_pipeline.py", "extract", "caption", *small])
    runpy.run_path(str(SCRIPTS / "bench_pipeline.py"), run_name="__main__")
    rows = {row["case"]: row["shares"] for row in json.loads((tmp_path / "rows.json").read_text())}
    assert rows["extract"].keys() == {"reading", "cnn", "rest"}
    assert rows["caption"].keys() == {"reading", "cnn", "search", "rest"}
    assert all(shares["cnn"] > 0 for shares in rows.values())
    assert rows["caption"]["search"] > 0


def test_an_unknown_case_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "argv", ["bench_growth.py", "train-X"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(SCRIPTS / "bench_growth.py"), run_name="__main__")
    assert "unknown table 'train-X': choose from train-T" in capsys.readouterr().err


def test_a_table_names_the_machine_its_peaks_and_whether_targets_are_reached(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    common = import_module("bench_common")
    monkeypatch.setattr(common, "PEAK_SIZE", 512)
    common.print_head("cpu", "a case")
    table = common.Table(("case", 6), ("ratio", 7), ("target", 12))
    table.add("fast", "30.0x", common.verdict(30, 26), note="checked")
    table.add("slow", "9.0x", common.verdict(9, 26))
    head, more, columns, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith(common.machine_name())
    assert "float32 " in head
    assert more == "a case, medians"
    assert columns == "case      ratio        target"
    assert rows == ["fast      30.0x   reached 26x  checked", "slow       9.0x    missed 26x"]
    common.write_json(tmp_path / "rows.json", [{"case": "fast"}])
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["machine"] == common.machine_name()
    assert row["gflops"]["float32"] > 0
    assert common.verdict(9, None) == ""
