"""A memory study that is taken further: longer delays go on from those that are there."""

import csv
import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from quick_study import measure

from showattend.config_checks import from_mapping
from showattend.errors import InputError
from showattend.study.config import MemoryStudy
from showattend.study.memory_probe import Outcome
from showattend.study.study import plan_study, run_study
from showattend.study.trials import JOURNAL, Job
from showattend.study.trials_table import TABLE


def interrupt(job: Job) -> dict[str, Any]:
    raise KeyboardInterrupt


def test_longer_delays_are_tried_only_where_a_cell_learned_all_so_far(tmp_path: Path) -> None:
    reaches = {"lstm": 20, "gru": 80, "elman": 5}
    measured: list[str] = []

    def work(job: Job) -> dict[str, Any]:
        measured.append(job.id)
        if job.phase == "gradients":
            return {"longest_delay": 0, "untrained": [0.5] * 80, "trained": [0.9] * 80, "solved": True, "delay": 20}
        reach = 10 if job.number == 1 else reaches[job.cell]
        outcomes = [asdict(Outcome(delay, delay <= reach, 0.5, 600, 0.01)) for delay in config.probe.delays if delay <= 2 * reach]
        return {"longest_delay": max(outcome["delay"] for outcome in outcomes if outcome["solved"]), "outcomes": outcomes}

    config = from_mapping(MemoryStudy, {"cells": list(reaches), "tasks": ["order"], "seeds": 2, "probe": {"delays": [5, 10, 20]}})
    run_study(replace(config, seeds=3), tmp_path, work=work)  # more seeds than are asked for later: they are no part of it then
    measured.clear()
    longer = replace(config, probe=replace(config.probe, delays=[5, 10, 20, 40, 80, 160]))
    config = longer
    assert (plan := plan_study(longer, tmp_path, work=measure)).planned - plan.finished == 2, "lstm, gru"
    with pytest.raises(KeyboardInterrupt):
        run_study(longer, tmp_path, work=interrupt)
    unfinished = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert list(unfinished["tasks"]["order"]) == ["elman"], "of the others, the seeds that learned most are missing"
    assert unfinished["runs"] == {"planned": 12, "finished": 10, "failed": 0}
    summary = run_study(longer, tmp_path, work=work)
    assert measured == ["memory/order/lstm/0", "memory/order/gru/0"]
    assert {cell: found["longest"] for cell, found in summary["tasks"]["order"].items()} == {
        "gru": [80, 10],
        "lstm": [20, 10],
        "elman": [5, 10],
    }
    with pytest.raises(InputError, match="another probe"):
        run_study(replace(config, probe=replace(config.probe, delays=[5, 20])), tmp_path, work=work)


def test_a_delay_that_was_learned_is_not_trained_again(tmp_path: Path) -> None:
    short = from_mapping(MemoryStudy, {"cells": ["gru"], "tasks": ["order"], "seeds": 1, "probe": {"delays": [5], "distance": 5}})
    longer = replace(short, probe=replace(short.probe, delays=[5, 10]))
    uninterrupted, extended = tmp_path / "uninterrupted", tmp_path / "extended"
    run_study(longer, uninterrupted)
    run_study(short, extended)
    (extended / JOURNAL).unlink()  # as where it is published
    table = (extended / TABLE).read_text(encoding="utf-8")
    (extended / TABLE).write_text(re.sub(r'""error"":[^,]*', '""error"":0.03125', table), encoding="utf-8")
    run_study(longer, extended)
    (first, second), expected = _outcomes(extended), _outcomes(uninterrupted)
    assert first["error"] == 0.03125, "the mark in the table"
    assert second == expected[1]
    assert second["delay"] == 10
    assert second["solved"]


def _outcomes(folder: Path) -> list[dict[str, Any]]:
    """Those of the only run of the task."""
    with (folder / TABLE).open(newline="", encoding="utf-8") as file:
        (text,) = (row["outcomes"] for row in csv.DictReader(file) if row["outcomes"])
    outcomes: list[dict[str, Any]] = json.loads(text)
    return outcomes
