"""SPICE 1.0 by its authors' own jar (Anderson et al. 2016), as coco-caption runs it, with models that are never downloaded."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from showattend.metrics.java import OfficialError, find_java, find_package

VERSION = "1.0"
MODELS = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
SOURCE = "stanford-corenlp-full-2015-12-09.zip from nlp.stanford.edu/software"
START, EACH = 600.0, 1.0  # seconds to wait: for the parser's models, and for a photo


def spice(captions: Sequence[str], references: Sequence[Sequence[str]], models: Path | None) -> tuple[float, list[float]]:
    """SPICE of the corpus, the mean over photos, and of each photo, from 0 to 1.

    The jar works in a folder that is removed, and without its cache.

    Args:
        captions: for each photo PTB tokens, joined by spaces
        references: of each photo, likewise
        models: folder of MODELS

    Raises:
        OfficialError: no pycocoevalcap, no Java, no models, or a Java that cannot run it.
    """
    package, (java, version) = find_package() / "spice", find_java()
    missing = [name for name in MODELS if models is None or not (models / name).is_file()]
    if missing:
        raise OfficialError(f"SPICE needs {' and '.join(missing)} of {SOURCE}: unpack them and give their folder by --spice-models DIR")
    rows = [{"image_id": n, "test": said, "refs": list(theirs)} for n, (said, theirs) in enumerate(zip(captions, references, strict=True))]
    path = os.pathsep.join([str(package / f"spice-{VERSION}.jar"), f"{package}/lib/*", f"{models}/*"])
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "in.json").write_text(json.dumps(rows), encoding="utf-8")
        command = [java, "-Xmx8G", "-cp", path, "edu.anu.spice.SpiceScorer", "in.json", "-out", "out.json", "-subset", "-silent"]
        try:
            subprocess.run(command, cwd=folder, capture_output=True, timeout=START + EACH * len(rows), check=True)
            found = {row["image_id"]: float(row["scores"]["All"]["f"]) for row in json.loads(Path(folder, "out.json").read_text())}
        except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
            raise OfficialError(f"SPICE fails with Java {version} ({type(error).__name__}): it was written for Java 8") from error
    of_photos = [found[n] for n in range(len(rows))]
    return sum(of_photos) / max(1, len(of_photos)), of_photos


def check_spice(models: Path | None) -> None:
    """Score one caption against itself.

    Raises:
        OfficialError: SPICE cannot be used here; the message says why.
    """
    found, _ = spice(["a dog runs on the beach"], [["a dog runs on the beach"]], models)
    if found != 1:
        raise OfficialError(f"SPICE gives {found} for a caption against itself: it was written for Java 8")
