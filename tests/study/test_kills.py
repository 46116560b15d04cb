"""A study that is killed again and again, as by a batch system or a power cut."""

import csv
import faulthandler
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

MEMORY = """
kind: memory
seeds: 3
tasks: [copying, adding, order]
cells: [elman, lstm, gru]
probe:
  hidden_size: 8
  delays: [5, 10]
  iterations: 60
"""
# Its final runs depend on its selection, that on its search, and all on an encoder and caches that the first start makes.
CAPTIONS = """
kind: captions
cells: [elman]
references: [lstm]
tracks: [equal_size]
trials: 6
candidates: 2
candidate_seeds: 2
seeds: 4
space: {learning_rate: [0.003, 0.01], dropout: [0.0, 0.1], clip: [1.0, 2.0], hidden_size: [16]}
margins: {test_nll: 0.1}
data: {root: SHAPES, batch_size: 8}
encoder: {name: tiny, weights: none}
preprocessing: {image_size: 64}
decoder: {embedding_size: 16, attention_size: 16}
training: {steps: 20}
generation: {beam: 1, max_length: 6}
"""
KILLS, JOBS = 20, 2


Start = Callable[[Path, Path], "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a study with a session of its own, and ends whatever of them is left."""
    started = []

    def run(config: Path, folder: Path) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "showattend", "study", "--config", str(config), "--out", str(folder), "--jobs", str(JOBS)]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True))
        return started[-1]

    yield run
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def results(folder: Path) -> tuple[str, list[list[str]]]:
    """The summary, and the rows of trials.csv, both without what the clock says."""
    summary = re.sub(r'"seconds_a_step": .*', "", (folder / "summary.json").read_text(encoding="utf-8"))
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        return summary, [[text for name, text in row.items() if not name.startswith("seconds")] for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize("text", [MEMORY, CAPTIONS], ids=["memory", "captions"])
def test_a_study_that_is_killed_twenty_times_ends_with_the_numbers_of_an_uninterrupted_one(
    text: str, start: Start, shapes: Path, tmp_path: Path
) -> None:
    faulthandler.cancel_dump_traceback_later()  # pytest's limit for a test that hangs: this one takes longer, and has its own deadline
    (config := tmp_path / "study.yaml").write_text(text.replace("SHAPES", str(shapes)))
    begun = time.monotonic()
    assert start(config, tmp_path / "whole").wait(600) == 0
    seconds, whole = time.monotonic() - begun, results(tmp_path / "whole")
    rng, deadline = random.Random(0), time.monotonic() + 60 * (seconds + 5)
    killed = with_some_rows = 0
    while killed < KILLS:
        assert time.monotonic() < deadline
        process = start(config, tmp_path / "killed")
        try:
            process.wait(rng.uniform(0, 1) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
            journal = tmp_path / "killed" / "trials.journal"
            with_some_rows += 0 < (journal.read_text().count('"row"') if journal.exists() else 0) < len(whole[1])
        else:  # it was faster than the kill: begin anew
            assert process.returncode == 0
            assert results(tmp_path / "killed") == whole
            shutil.rmtree(tmp_path / "killed")
    assert start(config, tmp_path / "killed").wait(600) == 0
    assert results(tmp_path / "killed") == whole
    assert with_some_rows > KILLS / 4, "most kills came before the first run or after the last"
