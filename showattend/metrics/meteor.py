"""METEOR 1.5 by its authors' own jar (Denkowski & Lavie 2014), as coco-caption runs it: `-l en -norm`, on PTB tokens."""

import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import numpy as np

from showattend.metrics.base import Metric, MetricScore, MetricUnavailable, register_metric
from showattend.metrics.corpus import Corpus
from showattend.metrics.java import OPTIONS, find_java, find_package, first_error, versions

VERSION = "1.5"
# What the jar gives for one caption with two references: a Java that gives another value is not used.
KNOWN = ("this is a good test", ["this is a test", "this is also a test"], 0.444344)
SECONDS, SECONDS_PER_PHOTO = 120.0, 0.2  # time limit: for the tables of paraphrases, and for each photo
SEPARATOR = "|||"


@dataclass(frozen=True, kw_only=True)
class Meteor(Metric):
    """METEOR of PTB tokens. The corpus has sums of its own: its value is no mean over photos."""

    optional: ClassVar[bool] = True

    def score(self, corpus: Corpus) -> MetricScore:
        """METEOR of the corpus and of each photo, from 0 to 1.

        Raises:
            MetricUnavailable: the jar has ended, takes too long, or its answer is no number.
        """
        with MeteorProcess() as jar:
            return jar.score([" ".join(words) for words in corpus.hypotheses], [list(map(" ".join, texts)) for texts in corpus.references])

    def check(self) -> None:
        """Score one known pair.

        Raises:
            MetricUnavailable: METEOR cannot be used on this machine; the message gives the reason.
        """
        caption, references, known = KNOWN
        with MeteorProcess() as jar:
            value = jar.score([caption], [references]).value
        if abs(value - known) > 1e-6:
            raise MetricUnavailable(f"METEOR gives {value:.6f} with Java {jar.version} where {known} is right: take another Java")

    def signature(self) -> dict[str, str]:
        """The versions of METEOR, of Java and of pycocoevalcap."""
        return {self.name: f"{VERSION},ptb", **versions()}


class MeteorProcess:
    """The jar, running while the `with` block does, in an empty folder that is removed.

    It answers each line with one line, so that neither side ever waits for a full pipe; a timer ends it when it takes too long.

    Raises:
        MetricUnavailable: no pycocoevalcap, no Java, or a Java that does not start it.
    """

    def __init__(self) -> None:
        jar = find_package() / "meteor" / f"meteor-{VERSION}.jar"
        self.java, self.version = find_java()
        self.command = [self.java, *OPTIONS, "-Xmx2G", "-jar", str(jar), "-", "-", "-stdio", "-l", "en", "-norm"]

    def __enter__(self) -> "MeteorProcess":
        self.folder = tempfile.TemporaryDirectory()
        self.errors = (Path(self.folder.name) / "errors").open("w+", encoding="utf-8", errors="replace")  # a pipe of them could fill
        pipe = subprocess.PIPE
        try:
            self.process = subprocess.Popen(self.command, cwd=self.folder.name, stdin=pipe, stdout=pipe, stderr=self.errors)
        except OSError as error:
            self.errors.close()
            self.folder.cleanup()
            raise MetricUnavailable(f"METEOR does not start with {self.java}: {error.strerror}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()
        self.folder.cleanup()

    def score(self, captions: Sequence[str], references: Sequence[Sequence[str]]) -> MetricScore:
        """METEOR of the corpus and of each photo.

        Args:
            captions: for each photo PTB tokens, joined by spaces
            references: of each photo, likewise

        Raises:
            MetricUnavailable: the jar has ended, takes too long, or its answer is no number.
        """
        timer = threading.Timer(SECONDS + SECONDS_PER_PHOTO * len(captions), self.process.kill)
        timer.start()
        try:
            pairs = zip(captions, references, strict=True)
            statistics = [self._request(_line("SCORE", *of_photo, caption)) for caption, of_photo in pairs]
            first = self._request(_join("EVAL", *statistics))
            *per_photo, corpus = [float(first), *(float(self._read()) for _ in captions)]
        except (OSError, ValueError) as error:
            self.errors.seek(0)
            reason = f"{error}; {first_error(self.errors.read())}"
            message = f"METEOR fails with Java {self.version} ({reason}): it is known to work with Java 17 and 25"
            raise MetricUnavailable(message) from error
        finally:
            timer.cancel()
        return MetricScore(corpus, np.array(per_photo))

    def _request(self, line: str) -> str:
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


def _line(command: str, *texts: str) -> str:
    """A line of the jar's protocol, whose separator is removed from the texts."""
    return _join(command, *(" ".join(text.replace(SEPARATOR, " ").split()) for text in texts))


def _join(*parts: str) -> str:
    return f" {SEPARATOR} ".join(parts)


register_metric(Meteor(name="meteor", label="METEOR", rank=3))
