"""What a report says, from rows made by hand: verdicts, cautions, the control, and what explains the loss."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from showattend.config_checks import from_mapping
from showattend.study.caption_study import draw_settings, importances, search_jobs
from showattend.study.config import CaptionStudy, MemoryStudy, SearchSpace
from showattend.study.memory_study import memory_jobs
from showattend.study.memory_summary import summarize_memory
from showattend.study.report import caption_sections
from showattend.study.summary import summarize_captions
from showattend.study.trials import COMPLETE, DIVERGED, Job, Row

SPACE = {"learning_rate": [1e-4, 1e-1], "dropout": [0.0, 0.5], "clip": [0.1, 10.0], "hidden_size": [16, 32]}
CELLS = ["np", "gru", "elman", "mgu", "janet", "lstm"]
CONFIG = from_mapping(
    CaptionStudy,
    {
        "space": SPACE,
        "margins": {"test_nll": 0.05},
        "cells": CELLS,
        "references": ["lstm"],
        "tracks": ["equal_size"],
        "trials": 4,
        "seeds": 10,
    },
)
MEANS = {"np": 0.501, "gru": 0.35, "elman": 0.62, "mgu": 0.52, "janet": 0.54, "lstm": 0.5}
SDS = {"np": 0.005, "gru": 0.005, "elman": 0.005, "mgu": 0.005, "janet": 0.12, "lstm": 0.005}


def rows_of(jobs: list[Job], status: Callable[[Job], str] = lambda job: COMPLETE) -> dict[str, Row]:
    """Rows whose losses have the mean and about the spread of their cells."""
    rng, rows = np.random.default_rng(0), {}
    for job in jobs:
        loss = MEANS[job.cell] + SDS[job.cell] * rng.normal()
        values = {"val_nll": loss, "hidden_size": 16, "cell_parameters": 10, "parameters": 20, "seconds_a_step": 0.1, "encoder": "sha256:a"}
        if job.phase == "final":
            values |= {"test_nll": loss, "test_bleu4": 0.5, "test_cider_d": 1.0, "test_pointing": 0.1 if job.number == 3 else 0.9}
        found: Any = status(job)
        rows[job.id] = Row(job, found, "" if found == COMPLETE else "no longer finite", values if found == COMPLETE else {})
    return rows


def final_jobs(cells: list[str] = CELLS, hidden_size: int = 32) -> list[Job]:
    params = {**draw_settings(CONFIG.space, 1, 0)[0], "hidden_size": hidden_size}
    return [Job("equal_size", "final", cell, number, number, params) for cell, number in product(cells, range(10))]


def summary_of(rows: Mapping[str, Row], monkeypatch: pytest.MonkeyPatch, config: CaptionStudy = CONFIG) -> dict[str, Any]:
    monkeypatch.setattr("showattend.study.summary.planned_rows", lambda config, rows: rows)
    summary = summarize_captions(config, rows)
    assert [section.title for section in caption_sections(config, summary)] == ["Equal hidden sizes", "What matters in the search"]
    return summary


def test_runs_that_did_not_learn_where_to_look_are_also_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """mgu's blind run makes it undecided; without it, as without those of the others, mgu is equivalent."""
    rows = rows_of([*search_jobs(CONFIG), *final_jobs()])
    rows["equal_size/final/mgu/3"].values["test_nll"] = 1.0
    rows["equal_size/final/elman/3"].values["test_pointing"] = 0.9
    track = summary_of(rows, monkeypatch)["tracks"]["equal_size"]
    assert track["comparisons"]["test_nll"]["lstm"]["mgu"]["verdict"] == "undecided"
    focused = track["focused_comparisons"]["lstm"]["mgu"]
    # 0.74 ** 10 = 0.05: so seldom would ten runs have none.
    assert "A cell without such a run may still have them in up to 26% of its runs" in " ".join(track["conclusion"])
    others = [[rows[f"equal_size/final/{cell}/{seed}"].values["test_nll"] for seed in range(10) if seed != 3] for cell in ("mgu", "lstm")]
    assert focused["difference"] == pytest.approx(np.mean(others[0]) - np.mean(others[1]))
    assert focused["verdict"] == "equivalent"
    text = " ".join(track["conclusion"])
    assert "Against lstm, 1 is better (gru), 1 is worse (elman), and 1 is equivalent (np) within" in text
    only = "counting only the runs that learned where to look, 1 is better (gru), 1 is worse (elman), and 2 are equivalent (np, mgu)"
    assert f"Against lstm, {only} within 0.05 nats a token." in text
    for name in [name for name in rows if name.endswith("/3")]:
        del rows[name]
    assert summary_of(rows, monkeypatch)["tracks"]["equal_size"]["focused_comparisons"] == {}


def test_the_conclusion_says_who_is_better_worse_equivalent_and_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(summary_of(rows_of([*search_jobs(CONFIG), *final_jobs()]), monkeypatch)["tracks"]["equal_size"]["conclusion"])
    assert "Against lstm, 1 is better (gru), 1 is worse (elman), and 2 are equivalent (np, mgu) within 0.05 nats a token." in text
    assert "Significantly different and yet within the margin: mgu +0.0" in text
    assert "The control: np, which is lstm under another name, differs from it by " in text
    assert "equivalent. For janet this budget cannot tell. If they differ and vary as they do here, " in text
    assert (
        "Final runs that did not learn where to look (pointing accuracy below 0.5): 6 of 60 (np 1, gru 1, elman 1, mgu 1, janet 1, "
        "lstm 1). Permutation test of equal shares in all cells: p = 1." in text
    )
    assert "smallest size" not in text
    assert "trials.csv" not in text
    assert "A cell without such a run" not in text


def test_a_control_that_fails_and_other_cautions_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEANS, "np", 0.8)

    def status(job: Job) -> str:
        if (job.cell, job.phase) == ("mgu", "search") or (job.cell, job.phase, job.number < 8) == ("gru", "final", True):
            return DIVERGED
        return COMPLETE

    rows = rows_of([*search_jobs(CONFIG), *final_jobs([cell for cell in CELLS if cell != "mgu"], 16)], status)
    first = next(iter(rows))
    rows[first] = replace(rows[first], values={**rows[first].values, "encoder": "sha256:b"})
    del rows[list(rows)[1]].values["encoder"]
    summary = summary_of(rows, monkeypatch)
    text = " ".join(summary["tracks"]["equal_size"]["conclusion"])
    assert "different. By chance, or because something is wrong with this study." in text
    assert "8 of 10 final runs of gru diverged, and are not in its figures." in text
    assert "Every run of mgu in the search diverged: it has no final run." in text
    assert "5 of 5 cells did best with the smallest size, 16: smaller ones may be better." in text
    assert "Different encoders in the column `encoder` of trials.csv: 2, and 1 runs that name none. A part of what differs" in text
    assert summary["runs"] == {"planned": 6 * 4 + 5 * 10, "finished": 6 * 4 + 5 * 10, "failed": 0}, "not unfinished for ever"


def searched(loss: Callable[[dict[str, float]], float]) -> list[Row]:
    settings = draw_settings(from_mapping(SearchSpace, SPACE), 64, 0)
    return [
        Row(Job("equal_size", "search", cell, number, 0, params), COMPLETE, values={"val_nll": MEANS[cell] + loss(params)})
        for cell in ("lstm", "elman")
        for number, params in enumerate(settings)
    ]


def place(params: Mapping[str, float], name: str) -> float:
    """Where a log-uniform hyperparameter lies in its range, from -1 to 1."""
    low, high = SPACE[name]
    return 2 * math.log(params[name] / low) / math.log(high / low) - 1


def test_fanova_finds_what_explains_the_loss_over_the_space_that_was_drawn_from() -> None:
    space = from_mapping(SearchSpace, SPACE)
    alone = importances(searched(lambda params: place(params, "learning_rate")), space)
    assert alone["learning_rate"] > 0.9
    assert sum(alone.values()) == pytest.approx(1)
    two = importances(searched(lambda params: place(params, "learning_rate") + 2 * place(params, "clip")), space)
    assert two["clip"] == pytest.approx(0.8, abs=0.12), "variances of 1 to 4"
    together = importances(searched(lambda params: float(np.sign(place(params, "learning_rate") * place(params, "clip")))), space)
    assert together["interactions"] > 0.5
    assert list(together)[-1] == "interactions"
    assert importances(searched(lambda params: 1.0), space) == {}


def test_a_memory_study_tells_delays_gradients_and_their_correlation() -> None:
    cells = ["elman", "lstm", "gru", "mgu", "janet", "sru"]
    probe = {"delays": [5, 10, 20, 40], "distance": 40}
    config = from_mapping(MemoryStudy, {"cells": cells, "tasks": ["order"], "seeds": 2, "probe": probe})
    rows = {}
    for job in memory_jobs(config):
        place = cells.index(job.cell)
        values: dict[str, Any] = {"longest_delay": [0, 5, 10, 20, 40, 40][place], "outcomes": [{"solved": False}]}
        if job.phase == "gradients":
            norm = (0.1, 0.2, 0.3, 0.4, 0.5, 30.0)[place] * (2 if job.number else 0.5)
            values = {"longest_delay": 0, "untrained": [norm] * 40, "trained": [1.0] * 40, "solved": True}
        rows[job.id] = Row(job, COMPLETE, values=values)
    summary = summarize_memory(config, rows)
    text = " ".join(summary["conclusion"])
    assert "order is learned (median of the seeds) at 40 still: janet, sru; up to 20: mgu; " in text
    assert "at no delay: elman" in text
    assert "0.1 in elman (after training 1, 1 to 1 over the seeds)" in text, "the geometric mean of 0.05 and 0.2"
    assert "Before training it grows in sru (30)." in text
    assert "After training" not in text
    assert "A larger gradient before training goes with longer delays of order (rank correlation +0.99" in text
    assert summary["gradients"]["elman"]["untrained_range"][0] == [0.05, 0.2]
