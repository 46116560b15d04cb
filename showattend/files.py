"""Writing files so that a full disk, a kill or a crash leaves the old file or the new one, whole.

Everything is written to a temporary file or folder beside the target, which is then renamed. The temporary name holds the machine and the
process that writes, so that leftovers of processes that have died are recognised and removed.
"""

import atexit
import csv
import ctypes
import errno
import fcntl
import getpass
import hashlib
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from showattend.errors import InputError

# Errors of the file system; other OSErrors in the body of `atomic_write` may have nothing to do with the target.
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}
ADVICE = {
    errno.ENOSPC: "free some space or choose another disk",
    errno.EDQUOT: "free some space or choose another disk",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EPIPE: "whatever reads from it has ended",
    errno.ENAMETOOLONG: "choose a shorter name",
}
MAX_STEM = 40  # characters of the target's name in the temporary file's, which would be too long for the file system otherwise
HOST = re.sub(r"\W", "_", socket.gethostname())[:40]
TEMPORARY = re.compile(rf"\..*\.{re.escape(HOST)}-(\d+)-\w{{8}}(\..*)?", re.DOTALL)
# Paths of this process's own open files, which are not opened anew: that would cut off what they hold.
DESCRIPTORS = {"/dev/stdout": 1, "/dev/stderr": 2}
OWN_DESCRIPTOR = re.compile(r"/(?:dev/fd|proc/self/fd)/(\d+)")
# Of Linux's renameat2: paths relative to the working folder, and the flag that exchanges two names.
AT_FDCWD, RENAME_EXCHANGE = -100, 2
SPECIAL = {stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}

_cleaned: set[Path] = set()  # folders that this process has cleaned of files of dead processes


def sha256_of(path: Path) -> str:
    """The digest of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; make it the target at the end, or remove it after an error.

    A link stays a link, and the file that it leads to is replaced. A device or a pipe is not replaced but written to.

    Raises:
        InputError: the target cannot be written; the message names it and says why.
    """
    path = Path(path)
    through = is_written_through(path)
    target = path if through else Path(os.path.realpath(path))
    with writable(path):
        folder = Path(tempfile.gettempdir()) if through else target.parent
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        # The suffix is kept: writers of pictures and arrays choose the format by it.
        prefix = f".{target.stem[:MAX_STEM]}.{HOST}-{os.getpid()}-"
        handle, name = tempfile.mkstemp(dir=folder, prefix=prefix, suffix=target.suffix[:MAX_STEM])
        os.close(handle)
    temporary = Path(name)
    try:
        with _disk_errors(path):
            yield temporary
        with writable(path):
            if through:
                copy_into(temporary, path)
            else:
                rename_durably(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path, ours: Collection[str]) -> Iterator[Path]:
    """Give a temporary folder to write into; make it the target at the end, in place of an older one, or remove it after an error.

    Args:
        ours: names of an older folder's entries that are replaced or go; all others, such as the user's notes or .git, stay in it

    Raises:
        InputError: the target cannot be written; the message names it and says why.
    """
    target = Path(os.path.realpath(folder))  # a link stays a link
    with writable(folder):
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target.parent)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:MAX_STEM]}.{HOST}-{os.getpid()}-"))
    try:
        with _disk_errors(folder):
            yield temporary
        with writable(folder):
            _make_readable(temporary)
            for path in (*temporary.iterdir(), temporary):
                _sync(path)
            if target.is_dir():
                _carry_over(target, temporary, ours)
            _put_in_place(temporary, target)
            _sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file that is whole or not there; what UTF-8 cannot hold, such as bytes of a file's name, is escaped.

    Raises:
        InputError: see `atomic_write`.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file that is whole or not there; what UTF-8 cannot hold is escaped.

    Raises:
        InputError: see `atomic_write`.
    """
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write into one line.

    Raises:
        InputError: with the path and the system's reason.
    """
    try:
        yield
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, "choose a folder that you may write to")
        raise InputError(f"cannot write {path}: {error.strerror or error}: {advice}") from error


def check_writable(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Find out before the work, without touching anything, whether a file can be written.

    Args:
        inputs: files that the command reads, none of which may be written over

    Raises:
        InputError: it is a folder or an input, or its folder can neither be written to nor be made.
    """
    # A new file is none of the inputs, which may be a million photos: they are not looked at then.
    if os.path.exists(path) and any(os.path.exists(given) and os.path.samefile(path, given) for given in inputs):
        raise InputError(f"cannot write {path}: this command reads it, and it would be lost: choose another name")
    with writable(path), suppress(FileNotFoundError, NotADirectoryError):
        path.lstat()  # raises for a name that is too long
    if os.path.isdir(path):
        raise InputError(f"cannot write {path}: it is a folder: give the name of a file")
    if is_written_through(path):
        if not os.access(path, os.W_OK):
            raise InputError(f"cannot write {path}: you may not write to it: choose another file")
        return
    nearest = next(parent for parent in Path(os.path.realpath(path)).parents if os.path.exists(parent))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(f"cannot write {path}: {nearest} is no folder that you may write to")


def check_readable(path: Path) -> None:
    """Refuse what has no end or may never begin: devices, sockets, named pipes. What the shell opens (`<(command)`, /dev/stdin) is read.

    Raises:
        InputError: it is one of them.
    """
    if path.parts[:3] == ("/", "dev", "fd") or str(path) == "/dev/stdin" or OWN_DESCRIPTOR.fullmatch(str(path)):
        return
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (OSError, ValueError):  # whoever reads it says why
        return
    if kind in SPECIAL:
        raise InputError(f"cannot read {path}: it is {SPECIAL[kind]}: give a file")


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """As `writable`, for a body that may raise other errors of the system as well."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        with writable(path):
            raise


def lock_for_process(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file or folder until this process closes it or ends; False where another process holds it.

    On a file system without locks nothing is locked, and the answer is True.

    Args:
        shared: with others that lock it so; none of them gets it for itself alone
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold a lock that a file stands for, after the process that holds it now has let go of it, however that ends.

    The file is there as long as the lock is. On a file system without locks nothing is locked.

    Raises:
        InputError: the file cannot be made.
    """
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _open_locked(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # worker processes may still have the file open
        os.close(descriptor)


def _open_locked(path: Path) -> int:
    """The descriptor of a locked file that still has its name: whoever held it before has removed that file."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)


def ensure_home() -> None:
    """Where the user has no home folder and no name (containers, cron), give the process some: libraries fail without.

    The folder is private and removed at the end of the process.
    """
    if not os.path.isabs(os.path.expanduser("~")):
        os.environ["HOME"] = home = tempfile.mkdtemp(prefix="showattend-home-")
        atexit.register(shutil.rmtree, home, ignore_errors=True)
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = f"uid-{os.getuid()}"


def default_cache_dir() -> Path:
    """`$SHOWATTEND_CACHE`, or the folder showattend in the user's cache folder."""
    chosen = os.environ.get("SHOWATTEND_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "showattend"


def is_written_through(path: Path) -> bool:
    """Whether a path is, or leads to, a device, a pipe or a socket, which must not be replaced by a file."""
    if path.parts[:2] in (("/", "dev"), ("/", "proc")) and path.parts[2:3] != ("shm",):
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def copy_into(temporary: Path, path: Path) -> None:
    """Write a file's content to a device or a pipe; to standard output and the like behind what was written there before."""
    descriptor = OWN_DESCRIPTOR.fullmatch(str(path))
    number = DESCRIPTORS.get(str(path)) if descriptor is None else int(descriptor.group(1))
    with temporary.open("rb") as source, path.open("wb") if number is None else os.fdopen(os.dup(number), "wb") as target:
        shutil.copyfileobj(source, target)


def rename_durably(temporary: Path, target: Path) -> None:
    """Make the temporary file the target, with its content and its name safe on the disk."""
    _make_readable(temporary)
    _sync(temporary)
    temporary.replace(target)
    _sync(target.parent)


def _make_readable(path: Path) -> None:
    """Give a temporary file or folder, which is private, the rights of any other result of the user's."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def _carry_over(old: Path, new: Path, ours: Collection[str]) -> None:
    """Give a new folder the entries of the old one that it lacks, as further names of the same files where the file system can."""
    for entry in old.iterdir():
        target = new / entry.name
        if entry.name in ours or target.exists():
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, target, symlinks=True, copy_function=_link)
        else:
            _link(entry, target)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _put_in_place(temporary: Path, folder: Path) -> None:
    """Rename a folder to its target. An older target and the temporary folder change their names in one step where the system can."""
    if not folder.exists():
        temporary.rename(folder)
    elif not _exchange(temporary, folder):
        # A name that no leftover has: killed between the two renames, neither folder may be taken for one.
        folder.rename(old := temporary.with_name(f"{folder.name}.old-{temporary.name[-8:]}"))
        try:
            temporary.rename(folder)
        except OSError:
            old.rename(folder)
            raise
        shutil.rmtree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders by Linux's renameat2; False where it is missing."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):
        return False
    return bool(rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot sync a folder
            raise
    finally:
        os.close(handle)


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files and folders of this machine's dead processes from a folder, once in this process."""
    if folder in _cleaned:
        return
    _cleaned.add(folder)
    with suppress(OSError):  # a folder that may not be listed, or another user's file
        for entry in os.scandir(folder):
            match = TEMPORARY.fullmatch(entry.name)
            if not match or _is_alive(int(match.group(1))):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is another user's
        return True
    return True
