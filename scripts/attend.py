"""The command `showattend attend` from a clone: python scripts/attend.py --help."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from showattend.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["attend", *sys.argv[1:]]))
