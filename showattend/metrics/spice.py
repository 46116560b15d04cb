"""SPICE 1.0 by its authors' own jar (Anderson et al. 2016), as coco-caption runs it, with models that are never downloaded."""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from showattend.metrics.java import OfficialError, find_java, find_package, first_error

VERSION = "1.0"
MODELS = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
SOURCE = "stanford-corenlp-full-2015-12-09.zip from nlp.stanford.edu/software"
RELEASES = range(8, 15)  # it writes its scores through the JavaScript engine that Java 15 has lost (JEP 372)
START, EACH = 600.0, 1.0  # seconds to wait: for the parser's models, and for a photo


def spice(captions: Sequence[str], references: Sequence[Sequence[str]], models: Path | None) -> tuple[float, list[float]]:
    """SPICE of the corpus, the mean over photos, and of each photo, from 0 to 1.

    The jar works in a folder that is removed, and without its cache.

    Args:
        captions: for each photo PTB tokens, joined by spaces
        references: of each photo, likewise
        models: folder of MODELS; None: that of pycocoevalcap, which may have fetched them before

    Raises:
        OfficialError: no pycocoevalcap, no Java, no models, or a Java that cannot run it.
    """
    java, version, classes = _ready(models)
    rows = [{"image_id": n, "test": said, "refs": list(theirs)} for n, (said, theirs) in enumerate(zip(captions, references, strict=True))]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "in.json").write_text(json.dumps(rows), encoding="utf-8")
        command = [java, "-Xmx8G", "-cp", classes, "edu.anu.spice.SpiceScorer", "in.json", "-out", "out.json", "-subset", "-silent"]
        try:
            subprocess.run(command, cwd=folder, capture_output=True, timeout=START + EACH * len(rows), check=True)
            found = {row["image_id"]: float(row["scores"]["All"]["f"]) for row in json.loads(Path(folder, "out.json").read_text())}
            of_photos = [found[n] for n in range(len(rows))]
        except subprocess.CalledProcessError as error:
            reason = first_error(error.stderr.decode(errors="replace"))
            raise OfficialError(f"SPICE fails with Java {version} ({reason}): it was written for Java 8") from error
        except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
            raise OfficialError(f"SPICE leaves no scores with Java {version} ({error!r}): it was written for Java 8") from error
    return sum(of_photos) / max(1, len(of_photos)), of_photos


def _ready(models: Path | None) -> tuple[str, str, str]:
    """Java, its version, and the class path; Java first, for the models are half a gigabyte to fetch."""
    package, (java, version) = find_package() / "spice", find_java()
    release = re.match(r"(?:1\.)?(\d+)", version)
    if release is None or int(release.group(1)) not in RELEASES:
        fitting = f"Java {RELEASES.start} to {RELEASES.stop - 1}"
        raise OfficialError(f"SPICE needs {fitting}, and the java on the PATH is {version}: put another first on the PATH")
    folder = (models or package / "lib").expanduser().absolute()  # where pycocoevalcap keeps them, if it has fetched them before
    missing = [name for name in MODELS if not (folder / name).is_file()]
    if missing:
        raise OfficialError(f"SPICE needs {' and '.join(missing)} of {SOURCE}: unpack them and give their folder by --spice-models DIR")
    return (
        java,
        version,
        os.pathsep.join([str(package / f"spice-{VERSION}.jar"), f"{package}/lib/*", *(str(folder / name) for name in MODELS)]),
    )


def check_spice(models: Path | None) -> None:
    """Score one caption against itself.

    Raises:
        OfficialError: SPICE cannot be used here; the message says why.
    """
    found, _ = spice(["a dog runs on the beach"], [["a dog runs on the beach"]], models)
    if found != 1:
        raise OfficialError(f"SPICE gives {found} for a caption against itself: it was written for Java 8")
