"""How commands end where the system refuses what they need."""

import subprocess
import sys

# A command that fills what a limit on memory leaves, to the last small object, and holds it.
FULL_MEMORY = """
import gc, resource, sys
from showattend.cli import main as cli

KEPT = [None]

def run(arguments):
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**21, used + 2**21))
    gc.disable()
    chain = ()
    try:
        while True:
            chain = (chain,)
    except MemoryError:
        KEPT[0] = chain
        raise

cli._run = run
sys.exit(cli.main(["cells"]))
"""


def test_used_up_memory_is_one_line_although_nothing_is_left_to_write_it_with() -> None:
    ended = subprocess.run([sys.executable, "-c", FULL_MEMORY], capture_output=True, text=True)
    assert ended.stderr.startswith("showattend: memory is used up")
    assert ended.stderr.count("\n") == 1
    assert ended.returncode == 2
