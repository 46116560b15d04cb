"""A study whose runs are not trained: a number that depends on the job alone stands for each."""

from typing import Any

from showattend.config_checks import from_mapping
from showattend.study.config import CaptionStudy
from showattend.study.trials import DivergedError, Job

SPACE = {"learning_rate": [1e-3, 1e-2], "dropout": [0.0, 0.5], "clip": [0.5, 5.0], "hidden_size": [16, 32]}
CONFIG = from_mapping(
    CaptionStudy,
    {
        "space": SPACE,
        "margins": {"test_nll": 0.5},
        "cells": ["gru", "elman"],
        "references": ["lstm"],
        "trials": 3,
        "candidates": 2,
        "candidate_seeds": 2,
        "seeds": 4,
    },
)


def measure(job: Job) -> dict[str, Any]:
    """What a run might give: a number that depends on the job alone; elman diverges once, gru fails once."""
    if (job.cell, job.phase, job.number) == ("elman", "search", 1):
        raise DivergedError("loss nan at step 7")
    if (job.cell, job.phase, job.number) == ("gru", "search", 2):
        raise RuntimeError("no luck")
    noise = job.seed % 1000 / 1000
    # A setting that is good on the val photos is bad on the test photos, for whoever selects by them.
    values = {f"{split}_{name}": score for split, score in (("val", noise), ("test", 1 - noise)) for name in ("nll", "bleu4", "cider_d")}
    return {**values, "hidden_size": 16, "cell_parameters": 10, "parameters": 20, "seconds_a_step": 0.5}
