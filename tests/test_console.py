"""Names and messages on the terminal."""

import os
import re
import subprocess
import sys

import pytest
from tqdm import tqdm

from showattend.console import print_error, printable
from showattend.errors import InputError


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain ünï 中文.png", "plain ünï 中文.png"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\x1b[2J\x07\x7f", "\\x1b[2J\\x07\\x7f"),
        (os.fsdecode(b"m_\xff.png"), "m_\\xff.png"),
        ("a\u2028b\u0085c", "a\\u2028b\\x85c"),
        ("gnp.\u202egpj", "gnp.\\u202egpj"),
        ("👩\u200d🚀", "👩\u200d🚀"),
    ],
)
def test_a_name_is_one_line_without_control_characters(name: str, shown: str) -> None:
    assert printable(name) == shown
    assert len(printable(name).splitlines()) == 1


def test_closed_standard_streams_discard_and_take_no_file_s_descriptor() -> None:
    code = (
        "import os\nfrom showattend.console import prepare_streams\nprepare_streams()\n"
        "print('lost')\nassert os.open(os.devnull, os.O_RDONLY) > 2\nassert os.readlink('/proc/self/fd/1') == os.devnull"
    )
    run = subprocess.run(["/bin/sh", "-c", '"$0" -c "$1" >&- 2>&- <&-', sys.executable, code], check=False)
    assert run.returncode == 0


def test_an_error_has_a_line_of_its_own_beside_a_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    for number in tqdm(range(3), file=sys.stderr, mininterval=0):
        print_error(f"skipped {number}")
    lines = re.split(r"[\r\n]+", capsys.readouterr().err)
    assert [line for line in lines if "skipped" in line] == ["skipped 0", "skipped 1", "skipped 2"]


def test_a_message_around_a_very_long_name_keeps_its_beginning_and_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(InputError("cannot read " + "\x1b" * 9000 + ": give another file"))
    printed = capsys.readouterr().err
    assert len(printed) < 2000
    assert printed.startswith("cannot read \\x1b\\x1b")
    assert printed.endswith(": give another file\n")
