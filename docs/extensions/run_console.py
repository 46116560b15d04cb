"""Runs the commands of a page and writes what they print below them: `python docs/extensions/run_console.py docs/tutorial.md FOLDER`.

Only blocks that begin with ```console are run, line by line, in FOLDER. Python blocks that begin with a file name in a comment, such as
`# my_cells.py`, are written there first.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

CONSOLE = re.compile(r"```console\n(.*?)```", re.S)
PROGRESS = re.compile(r"\d+/[\d?]+ \[|^\s*(\x1b\[A)?$")  # a state of a progress bar, and what clears one
FILE = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.S)


def commands(page: str) -> list[str]:
    """The command lines of all console blocks, without the prompt."""
    return [line[2:] for block in CONSOLE.findall(page) for line in block.splitlines() if line.startswith("$ ")]


def write_files(page: str, folder: Path) -> None:
    """Write the Python blocks that name a file."""
    for name, source in FILE.findall(page):
        (folder / name).write_text(source, encoding="utf-8")


def run(command: str, folder: Path) -> str:
    """Run one command and return what it prints on standard output, without progress bars and empty lines."""
    name, *arguments = shlex.split(command)
    program = [sys.executable, "-m", "showattend"] if name == "showattend" else [name]
    done = subprocess.run([*program, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command}\nended with status {done.returncode}:\n{done.stderr}")
    return "\n".join(line for line in done.stdout.splitlines() if not PROGRESS.search(line))


def main() -> None:
    """Rewrite one page with the outputs of its commands."""
    path, folder = Path(sys.argv[1]), Path(sys.argv[2])
    page = path.read_text(encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    write_files(page, folder)

    def rewrite(block: re.Match[str]) -> str:
        lines = [line for line in block.group(1).splitlines() if line.startswith("$ ")]
        outputs = [f"{line}\n{run(line[2:], folder)}".rstrip() for line in lines]
        return "```console\n" + "\n".join(outputs) + "\n```"

    path.write_text(CONSOLE.sub(rewrite, page), encoding="utf-8")


if __name__ == "__main__":
    main()
