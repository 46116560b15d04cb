"""`showattend attend` as a script: python scripts/attend.py --help."""

from showattend.cli.main import run

run("attend")
