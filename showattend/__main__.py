"""python -m showattend."""

from showattend.cli import run

run()
