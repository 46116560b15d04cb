"""The files of onnxruntime-web, which run a model in a browser: from its npm package, whose digest is checked where it is packed."""

import base64
import hashlib
import io
import tarfile
import urllib.request
from http.client import HTTPException
from pathlib import Path

from showattend.errors import InputError, one_line
from showattend.files import atomic_write, check_readable, default_cache_dir

VERSION = "1.30.0"
ADDRESS = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="  # as the registry's `dist.integrity`
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
MAX_BYTES = 2**28  # of the package, which has a third of that
TIMEOUT = 60.0  # seconds without an answer
BY_HAND = f"fetch it by `npm pack onnxruntime-web@{VERSION}` where there is a network, and give --ort-web FILE"


def ort_web_files(source: Path | None = None) -> dict[str, bytes]:
    """The content of FILES.

    Args:
        source: the package as a file, or unpacked; None: downloaded once and kept in the cache

    Raises:
        InputError: it cannot be downloaded or read, or, packed, is not the package that this version was tested with.
    """
    if source is not None and source.is_dir():
        return {name: _read(source, name) for name in FILES}
    package = source or default_cache_dir() / Path(ADDRESS).name
    if source is None and not package.exists():
        _download(package)
    check_readable(package)
    try:
        with package.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {package}: {error.strerror or error}: {BY_HAND}") from error
    _check(content, package)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {name: archive.extractfile(f"package/dist/{name}").read() for name in FILES}  # type: ignore[union-attr]


def _read(folder: Path, name: str) -> bytes:
    """A file of an unpacked package, in the folder itself or its dist."""
    path = next((path for path in (folder / "dist" / name, folder / "package" / "dist" / name, folder / name) if path.is_file()), None)
    if path is None:
        raise InputError(f"{folder} lacks {name} of onnxruntime-web: give the package, as a file or unpacked, or leave --ort-web out")
    return path.read_bytes()


def _download(package: Path) -> None:
    try:
        with urllib.request.urlopen(ADDRESS, timeout=TIMEOUT) as answer:
            content = answer.read(MAX_BYTES)
    except (OSError, HTTPException) as error:
        raise InputError(f"cannot download {ADDRESS} ({one_line(error)}): {BY_HAND}") from error
    _check(content, package)
    with atomic_write(package) as temporary:
        temporary.write_bytes(content)


def _check(content: bytes, package: Path) -> None:
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != SHA512:
        raise InputError(f"{package} is not onnxruntime-web {VERSION}, its SHA-512 differs: delete it, or {BY_HAND}")
