"""`python -m showattend`, and the console command; Ctrl-C while Python still reads the program ends it in one line too."""

import signal
import sys


def run() -> None:
    """Run the command of the command line."""
    try:
        from showattend.cli.main import run as run_command
    except KeyboardInterrupt:
        print("showattend: stopped", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    run_command()


if __name__ == "__main__":
    run()
