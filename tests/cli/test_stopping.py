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


# Ctrl-C comes while the program is still being imported.
STOPPED_IMPORT = """
import builtins
from showattend.__main__ import run

def stopped(name, *args, original=builtins.__import__, **kwargs):
    if name == "showattend.cli.main":
        raise KeyboardInterrupt
    return original(name, *args, **kwargs)

builtins.__import__ = stopped
run()
"""


def test_ctrl_c_before_the_program_is_read_is_one_line() -> None:
    ended = subprocess.run([sys.executable, "-c", STOPPED_IMPORT], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (130, "showattend: stopped\n")
