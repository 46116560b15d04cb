"""Local files and object stores behind one interface, fsspec's, with one line for what a store refuses."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from showattend.errors import InputError, one_line
from showattend.files import check_readable

URL = re.compile(r"([A-Za-z][\w+.-]*)(?:://|::)")
# Of these a list or a table may name photos. fsspec knows others, some of which fill in templates or start programs.
PROTOCOLS = {"file", "local", "memory", "s3", "s3a", "gs", "gcs", "hf", "http", "https", "abfs", "abfss", "az", "adl", "oci", "oss", "hdfs"}
LOCAL = ("file", "local")
SECONDS = 60  # that one photo may take over HTTP


def protocol_of(name: str) -> str:
    """The protocol of a URL; of a path, an empty string."""
    match = URL.match(name)
    return match[1].lower() if match else ""


def local_path(url: str) -> str:
    """The path in a URL of this machine's files; a path as it is."""
    return str(fsspec.core.strip_protocol(url)) if protocol_of(url) in LOCAL else url


def open_store(url: str) -> tuple[Any, str]:
    """The file system of a path or a URL, and the path in it.

    Raises:
        InputError: there is no such protocol, its library is not installed, or the store refuses its options.
    """
    with store_errors(url):
        # A cache of listings would hold every name of a large bucket.
        options: dict[str, Any] = {"use_listings_cache": False} if protocol_of(url) else {}
        if protocol_of(url) in ("http", "https"):
            import aiohttp

            options["client_kwargs"] = {"timeout": aiohttp.ClientTimeout(total=SECONDS)}
        system, path = fsspec.core.url_to_fs(url if protocol_of(url) else os.path.abspath(os.path.expanduser(url)), **options)
        if protocol_of(url) in ("", *LOCAL):
            check_readable(Path(path))
        return system, path


@contextmanager
def store_errors(url: str) -> Iterator[None]:
    """Turn what a store or its library raises into one line.

    Raises:
        InputError: with the URL and the reason.
    """
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"cannot read {url}: there is no such file or folder: see its name") from error
    except ImportError as error:
        raise InputError(f"cannot read {url}: {one_line(error)}") from error
    except PermissionError as error:
        raise InputError(f"cannot read {url}: you may not read it ({one_line(error)}): see your rights and keys") from error
    # Libraries of stores let errors of their own, of their HTTP clients and of the system through.
    except Exception as error:
        raise InputError(f"cannot read {url} ({one_line(error)}): see the name, the network and your keys for it") from error


def join(base: str, name: str) -> str:
    """A name as it is where it is a URL or absolute, else below a folder or a URL."""
    return name if protocol_of(name) or name.startswith("/") else f"{base.rstrip('/')}/{name}"


def has_suffix(name: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a file's name ends in one of these, in small or capital letters."""
    return PurePosixPath(name).name.lower().endswith(suffixes)
