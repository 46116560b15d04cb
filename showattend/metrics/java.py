"""The official scorers' Java: found, asked for its version, and never trusted to end by itself."""

import re
import shutil
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "pycocoevalcap"


class OfficialError(RuntimeError):
    """An official scorer cannot be used: the message says why, and what to do."""


def find_package() -> Path:
    """The folder of pycocoevalcap, whose jars are read and to which nothing is written.

    Raises:
        OfficialError: it is not installed.
    """
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise OfficialError("pycocoevalcap, which holds the official scorers, is not installed: pip install 'showattend[coco]'")
    return Path(found.submodule_search_locations[0])


def find_java() -> tuple[str, str]:
    """The command `java` and its version.

    Raises:
        OfficialError: there is none, or it does not run.
    """
    java = shutil.which("java")
    if java is None:
        raise OfficialError("there is no java on the PATH: install a Java runtime, such as OpenJDK 17")
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise OfficialError(f"{java} does not run: {error}") from error
    found = re.search(r'version "([^"]+)"', told)
    return java, found.group(1) if found else "unknown"


def first_error(errors: str) -> str:
    """What a program that failed said first, the JVM's remarks on its options left out."""
    return next((line.strip() for line in errors.splitlines() if line.strip() and not line.startswith("Picked up")), "it does not say why")


def versions() -> dict[str, str]:
    """What belongs to the signature of an official score."""
    return {"java": find_java()[1], PACKAGE: version(PACKAGE)}
