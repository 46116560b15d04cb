"""A study that is killed again and again, as by a batch system or a power cut."""

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CONFIG = """
kind: memory
seeds: 3
tasks: [copying, adding, order]
cells: [elman, lstm, gru]
probe:
  hidden_size: 8
  delays: [5, 10]
  iterations: 60
"""
KILLS, JOBS = 20, 2


def start(config: Path, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "showattend", "study", "--config", str(config), "--out", str(folder), "--jobs", str(JOBS)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def results(folder: Path) -> tuple[str, list[list[str]]]:
    """The summary, and the rows of trials.csv without their seconds."""
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        return (folder / "summary.json").read_text(encoding="utf-8"), [row[:-1] for row in csv.reader(file)]


@pytest.mark.slow
def test_a_study_that_is_killed_twenty_times_ends_with_the_numbers_of_an_uninterrupted_one(tmp_path: Path) -> None:
    (config := tmp_path / "study.yaml").write_text(CONFIG)
    begun = time.monotonic()
    assert start(config, tmp_path / "whole").wait() == 0
    seconds = time.monotonic() - begun
    rng = random.Random(0)
    killed = 0
    while killed < KILLS:
        process = start(config, tmp_path / "killed")
        try:
            process.wait(rng.uniform(0.3, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
        else:  # it was faster than the kill: begin anew
            assert process.returncode == 0
            assert results(tmp_path / "killed") == results(tmp_path / "whole")
            shutil.rmtree(tmp_path / "killed")
    assert start(config, tmp_path / "killed").wait() == 0
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
