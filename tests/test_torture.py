"""A small sample of `make torture`: nothing ends in a traceback, hangs or loses a file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]


def test_a_sample_of_every_kind_of_attack_ends_well_or_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("hypothesis")
    # A process of its own: attempts are forks, which must not have this one's threads.
    command = [sys.executable, "-m", "scripts.torture", "--quick", "--keep", str(tmp_path / "failed")]
    environment = {**os.environ, "PYTHONPATH": str(TOP), "TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr[-5000:]}"
    assert "| all |" in ended.stdout


def test_the_same_seed_makes_the_same_photos(tmp_path: Path) -> None:
    script = "import random, sys; from scripts.torture.photo_files import flipped; r = random.Random(5)\n"
    script += "import hashlib; print(hashlib.sha256(b''.join(flipped(r) for _ in range(20))).hexdigest())"
    runs = [subprocess.run([sys.executable, "-c", script], cwd=TOP, capture_output=True, text=True, check=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
