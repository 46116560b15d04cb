"""`showattend evaluate` as a script: python scripts/evaluate.py --help."""

from showattend.cli.main import run

run("evaluate")
