"""METEOR 1.5 by its authors' own jar (Denkowski & Lavie 2014), as coco-caption runs it: `-l en -norm`, on PTB tokens."""

import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from showattend.metrics.java import OfficialError, find_java, find_package, first_error

VERSION = "1.5"
# What the jar gives for one caption with two references: a Java that gives something else is not to be used.
KNOWN = (["this is a good test"], [["this is a test", "this is also a test"]], 0.444344)
START, EACH = 120.0, 0.2  # seconds to wait: for the tables of paraphrases, and for a photo
SEPARATOR = "|||"


class Meteor:
    """The jar, running while the `with` block does, in an empty folder that is removed.

    It answers each line with one line, so that neither side ever waits for a full pipe; a watch ends it when it takes too long.

    Raises:
        OfficialError: no pycocoevalcap, no Java, or a Java that does not start it.
    """

    def __init__(self) -> None:
        jar = find_package() / "meteor" / f"meteor-{VERSION}.jar"
        self.java, self.version = find_java()
        self.command = [self.java, "-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", str(jar), "-", "-", "-stdio", "-l", "en", "-norm"]

    def __enter__(self) -> "Meteor":
        self.folder = tempfile.TemporaryDirectory()
        self.errors = (Path(self.folder.name) / "errors").open("w+", encoding="utf-8", errors="replace")  # a pipe of them could fill
        pipe = subprocess.PIPE
        try:
            self.process = subprocess.Popen(self.command, cwd=self.folder.name, stdin=pipe, stdout=pipe, stderr=self.errors)
        except OSError as error:
            self.errors.close()
            self.folder.cleanup()
            raise OfficialError(f"METEOR does not start with {self.java}: {error.strerror}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()
        self.folder.cleanup()

    def scores(self, captions: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, list[float]]:
        """METEOR of the corpus, which is no mean, and of each photo, from 0 to 1.

        Args:
            captions: for each photo PTB tokens, joined by spaces
            references: of each photo, likewise

        Raises:
            OfficialError: the jar has ended, takes too long, or says something else than numbers.
        """
        recording_gates = threading.Timer(START + EACH * len(captions), self.process.kill)
        recording_gates.start()
        try:
            counts = [self._ask(_line("SCORE", *theirs, said)) for said, theirs in zip(captions, references, strict=True)]
            first = self._ask(_join("EVAL", *counts))
            *of_photos, corpus = [float(first), *(float(self._read()) for _ in captions)]
        except (OSError, ValueError) as error:
            self.errors.seek(0)
            reason = f"{error}; {first_error(self.errors.read())}"
            raise OfficialError(f"METEOR fails with Java {self.version} ({reason}): it is known to work with Java 17 and 25") from error
        finally:
            recording_gates.cancel()
        return corpus, of_photos

    def _ask(self, line: str) -> str:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, and so has nothing to read either
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line:
            raise ValueError("it has ended, or took too long")
        return line.strip()


def check_meteor() -> None:
    """Score one known pair.

    Raises:
        OfficialError: METEOR cannot be used here; the message says why.
    """
    captions, references, known = KNOWN
    with Meteor() as jar:
        found, _ = jar.scores(captions, references)
    if abs(found - known) > 1e-6:
        raise OfficialError(f"METEOR gives {found:.6f} with Java {jar.version} where {known} is right: take another Java")


def _line(word: str, *texts: str) -> str:
    """A line of the jar's protocol, whose own signs are taken out of the texts."""
    return _join(word, *(" ".join(text.replace(SEPARATOR, " ").split()) for text in texts))


def _join(*parts: str) -> str:
    return f" {SEPARATOR} ".join(parts)
