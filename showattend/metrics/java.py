"""Java and the official scorers' jars: where they are, which versions they have, and what a failed run printed."""

import re
import shutil
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from showattend.metrics.base import MetricUnavailable

PACKAGE = "pycocoevalcap"
# Numbers with a decimal point, whatever the language of the user or of JAVA_TOOL_OPTIONS.
OPTIONS = ("-Duser.language=en", "-Duser.country=US", "-Dfile.encoding=UTF-8")


def find_package() -> Path:
    """The folder of pycocoevalcap, whose jars are read and to which nothing is written.

    Raises:
        MetricUnavailable: it is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MetricUnavailable("pycocoevalcap, which holds the official scorers, is not installed: pip install 'showattend[coco]'")
    return Path(spec.submodule_search_locations[0])


def find_java() -> tuple[str, str]:
    """The command `java` and its version.

    Raises:
        MetricUnavailable: there is none, or it does not run.
    """
    java = shutil.which("java")
    if java is None:
        raise MetricUnavailable("there is no java on the PATH: install a Java runtime, such as OpenJDK 17")
    try:
        printed = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise MetricUnavailable(f"{java} does not run: {error}") from error
    match = re.search(r'version "([^"]+)"', printed)
    return java, match.group(1) if match else "unknown"


def first_error(errors: str) -> str:
    """The first line that a failed program printed, without the JVM's remarks on its options."""
    lines = (line.strip() for line in errors.splitlines())
    return next((line for line in lines if line and not line.startswith("Picked up")), "no error message")


def versions() -> dict[str, str]:
    """The versions of Java and pycocoevalcap, for the signature of scores."""
    return {"java": find_java()[1], PACKAGE: version(PACKAGE)}
