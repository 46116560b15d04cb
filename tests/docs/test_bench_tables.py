"""The site's page of benchmarks: rows of JSON files as tables."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def test_rows_become_a_table_without_empty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("docutils", reason="pages are not built: pip install 'showattend[docs]'")
    monkeypatch.syspath_prepend(str(DOCS / "extensions"))
    table_of = import_module("bench_tables").table_of
    machine = {"machine": "A core", "gflops": {"float32": 1204, "bfloat16": 11}}
    rows = [
        {"case": "a|b", "ratio": 2.0, "of": {"cnn": 1234567.0}, "note": "", **machine},
        {"case": "--c", "ratio": 0.04567, "note": None, **machine},
    ]
    assert table_of(rows, "case | ratio = times | of.cnn=alone | note") == [
        "*A core, float32 1,204 GFLOP/s, bfloat16 11 GFLOP/s*",
        "",
        "| case | times | alone |",
        "|---|---|---|",
        "| a\\|b | 2.00 | 1,234,567 |",
        "| `--c` | 0.0457 |  |",
    ]


def test_the_page_shows_all_results() -> None:
    shown = re.findall(r"```\{bench\} (\S+)", (DOCS / "benchmarks.md").read_text())
    files = {path.name for path in (DOCS / "runs" / "speed").glob("*.json")}
    assert set(shown) == files
    assert all(isinstance(json.loads((DOCS / "runs" / "speed" / name).read_text()), list) for name in files)
