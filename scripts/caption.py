"""`showattend caption` as a script: python scripts/caption.py --help."""

from showattend.cli.main import run

run("caption")
