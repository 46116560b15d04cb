"""Model folders on the Hugging Face Hub: USER/NAME, or USER/NAME@REVISION, stands for the folder there."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from showattend.errors import InputError, one_line
from showattend.model_files import A_MODEL, CONFIG, FILES

HUB_NAME = re.compile(r"([\w-][\w.-]{0,95}/[\w-][\w.-]{0,95})(?:@([\w.-][\w./-]{0,95}))?")
T = TypeVar("T")


def find_model_folder(model: Path | str, revision: str | None = None) -> Path:
    """The folder of a model: a local one, or one that is downloaded once into the Hub's cache.

    A name counts as local where its first part is a folder here. Without a network the cache answers.

    Args:
        model: a folder, or USER/NAME on the Hub, with @REVISION where it is not given on its own
        revision: branch, tag or commit on the Hub; None: its main branch

    Raises:
        InputError: the Hub has no such model, cannot be reached, or huggingface_hub is not installed.
    """
    folder, match = Path(model), HUB_NAME.fullmatch(str(model))
    if folder.exists() or not match or Path(str(model).partition("/")[0]).exists():
        if revision:
            raise InputError(f"{model} is no name on the Hugging Face Hub, so it has no revision '{revision}': leave the revision out")
        return folder
    name, version = match[1], revision or match[2]

    def download() -> str:
        return str(_library().snapshot_download(name, revision=version, allow_patterns=FILES))

    return Path(_call(download, f"no model folder at {model}, and the Hugging Face Hub does not give it"))


def push_to_hub(folder: Path, name: str, *, private: bool = False, revision: str | None = None) -> str:
    """Upload a model folder, with its card, to USER/NAME on the Hub; a repository that is not there is created.

    Args:
        private: whether a new repository is visible to its owner alone
        revision: branch to write to; None: main

    Returns:
        the address of the model

    Raises:
        InputError: there is no model folder, the name is none, the Hub refuses it, or huggingface_hub is not installed.
    """
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder} is no model folder: give {A_MODEL}")
    if not HUB_NAME.fullmatch(name) or "@" in name:
        raise InputError(f"'{name}' is no name on the Hugging Face Hub: give USER/NAME")

    def upload() -> str:
        api = _library().HfApi()
        address = api.create_repo(name, private=private, exist_ok=True)
        if revision:
            api.create_branch(name, branch=revision, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, revision=revision, allow_patterns=FILES, commit_message="Upload a model")
        return str(address)

    return _call(upload, f"the Hugging Face Hub did not take {name}")


def _library() -> Any:
    """The library, imported when it is needed."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError("models of the Hugging Face Hub need its library: pip install 'showattend[hub]'") from error
    return huggingface_hub


def _call(action: Callable[[], T], problem: str) -> T:
    try:
        return action()
    except InputError:
        raise
    # The library lets errors of its own, of its HTTP client and of the system through.
    except Exception as error:
        reason = one_line(error).split(" (Request ID")[0]
        raise InputError(f"{problem} ({reason}): see the name and your network, and log in with `hf auth login`") from error
