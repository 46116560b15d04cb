"""python -m showattend."""

from showattend.cli.main import run

run()
