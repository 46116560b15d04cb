"""SPICE 1.0 by its authors' own jar (Anderson et al. 2016), as coco-caption runs it, with models that are never downloaded."""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from showattend.metrics.base import Metric, MetricScore, MetricUnavailable, register_metric
from showattend.metrics.corpus import Corpus
from showattend.metrics.java import OPTIONS, find_java, find_package, first_error, versions

VERSION = "1.0"
MODELS = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
SOURCE = "stanford-corenlp-full-2015-12-09.zip from nlp.stanford.edu/software"
RELEASES = range(8, 15)  # it writes its scores through the JavaScript engine that Java 15 no longer has (JEP 372)
SECONDS, SECONDS_PER_PHOTO = 600.0, 1.0  # time limit: for the parser's models, and for each photo


@dataclass(frozen=True, kw_only=True)
class Spice(Metric):
    """SPICE of PTB tokens, the mean over photos.

    Args:
        models: folder of MODELS; None: that of pycocoevalcap, which may have fetched them before
    """

    optional: ClassVar[bool] = True

    models: Path | None = None

    def score(self, corpus: Corpus) -> MetricScore:
        """SPICE of the corpus and of each photo, from 0 to 1. The jar works in a folder that is removed, and without its cache.

        Raises:
            MetricUnavailable: no pycocoevalcap, no Java, no models, or a Java that cannot run it.
        """
        pairs = zip(corpus.hypotheses, corpus.references, strict=True)
        return _run_jar(_find_jar(self.models), [(" ".join(words), list(map(" ".join, texts))) for words, texts in pairs])

    def check(self) -> None:
        """Score one caption against itself.

        Raises:
            MetricUnavailable: SPICE cannot be used on this machine; the message gives the reason.
        """
        value = _run_jar(_find_jar(self.models), [("a dog runs on the beach", ["a dog runs on the beach"])]).value
        if value != 1:
            raise MetricUnavailable(f"SPICE gives {value} for a caption against itself: it was written for Java 8")

    def signature(self) -> dict[str, str]:
        """The versions of SPICE, of Java and of pycocoevalcap."""
        return {self.name: f"{VERSION},ptb", **versions()}


class _Jar(NamedTuple):
    java: str
    version: str
    class_path: str


def _find_jar(models: Path | None) -> _Jar:
    """Java and the class path. Java is checked first, for the models are half a gigabyte to fetch."""
    package, (java, version) = find_package() / "spice", find_java()
    release = re.match(r"(?:1\.)?(\d+)", version)
    if release is None or int(release.group(1)) not in RELEASES:
        fitting = f"Java {RELEASES.start} to {RELEASES.stop - 1}"
        raise MetricUnavailable(f"SPICE needs {fitting}, and the java on the PATH is {version}: put another first on the PATH")
    folder = (models or package / "lib").expanduser().absolute()  # pycocoevalcap keeps them in lib, if it has fetched them before
    missing = [name for name in MODELS if not (folder / name).is_file()]
    if missing:
        names = " and ".join(missing)
        raise MetricUnavailable(f"SPICE needs {names} of {SOURCE}: unpack them and give their folder by --spice-models DIR")
    jars = [package / f"spice-{VERSION}.jar", package / "lib" / "*", *(folder / name for name in MODELS)]
    return _Jar(java, version, os.pathsep.join(map(str, jars)))


def _run_jar(jar: _Jar, captions: Sequence[tuple[str, list[str]]]) -> MetricScore:
    """Run the jar on captions and their references, as texts, in a folder that is removed afterwards."""
    rows = [{"image_id": index, "test": caption, "refs": references} for index, (caption, references) in enumerate(captions)]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "in.json").write_text(json.dumps(rows), encoding="utf-8")
        command = [jar.java, *OPTIONS, "-Xmx8G", "-cp", jar.class_path, "edu.anu.spice.SpiceScorer"]
        command += ["in.json", "-out", "out.json", "-subset", "-silent"]
        limit = SECONDS + SECONDS_PER_PHOTO * len(rows)
        try:
            subprocess.run(command, cwd=folder, capture_output=True, timeout=limit, check=True)
            per_photo = _read_scores(json.loads(Path(folder, "out.json").read_text()), len(rows))
        except subprocess.CalledProcessError as error:
            reason = first_error(error.stderr.decode(errors="replace"))
            raise MetricUnavailable(f"SPICE fails with Java {jar.version} ({reason}): it was written for Java 8") from error
        except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
            raise MetricUnavailable(f"SPICE leaves no scores with Java {jar.version} ({error!r}): it was written for Java 8") from error
    return MetricScore(sum(per_photo) / max(1, len(per_photo)), np.array(per_photo))


def _read_scores(rows: Any, photos: int) -> list[float]:
    scores = {row["image_id"]: float(row["scores"]["All"]["f"]) for row in rows}
    return [scores[index] for index in range(photos)]


register_metric(Spice(name="spice", label="SPICE", rank=4))
