"""`showattend fit` as a script: python scripts/train.py --help."""

from showattend.cli.main import run

run("fit")
