"""All benchmarks one after another in less than five minutes: each with the fewest sizes, rounds and photos that still say something.

    python scripts/all_benchmarks.py                         a look at everything, on a machine that does nothing else
    python scripts/all_benchmarks.py decoder pipeline        some of them

Figures to publish need what the scripts do by default, which takes half an hour: run each without options for that.
"""

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench_common import add_names

SCRIPTS = Path(__file__).parent
SHORT = {
    "decoder": "beam-d512",
    "products": "--rounds 3",
    "linear_cross_entropy": "M480 --rounds 3",
    "fuse": "energies row_energies grad_queries grad_keys",
    "cells": "gru --rounds 1",
    "growth": "search-T --rounds 1",
    "peers": "train-grouped --sizes D=512",
    "pipeline": "caption --count 64 --rounds 1 --precision auto",
    "features": "float16 --rows 640 --steps 1 --rounds 1",
    "bulk": "decode network write --count 64 --repeats 8 --unit-size 64 --rounds 1",
    "export": "torch onnx --count 16 --rounds 1",
    "startup": "--encoder tiny --rounds 1",
    "app": "--users 2 --requests 5",
    "memory": f"-- {shlex.quote(sys.executable)} -c 'import showattend'",
    "metrics": "--photos 1000 --repeats 2",
    "rankings": "--photos 1000 --rounds 1",
    "render": "--rounds 1",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scripts, and print how long each took; 1 if one has failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_names(parser, "benchmark", list(SHORT))
    started, failed = time.perf_counter(), []
    for name in parser.parse_args(arguments).names or SHORT:
        command = [f"bench_{name}.py", *shlex.split(SHORT[name])]
        print(f"== {shlex.join(command)}", flush=True)
        begun = time.perf_counter()
        if subprocess.run([sys.executable, SCRIPTS / command[0], *command[1:]]).returncode:
            failed.append(command[0])
        print(f"({time.perf_counter() - begun:.0f} s)\n", flush=True)
    print(", ".join([f"{time.perf_counter() - started:.0f} s in all", *(f"{name} has failed" for name in failed)]))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
