"""Damage to the files of a model folder: as wholes, byte by byte, and value by value."""

import hashlib
import json
import os
import random
import struct
from pathlib import Path
from typing import Any

CONFIG, WEIGHTS, SPEC = "config.json", "model.safetensors", "encoder.json"
# Each would make a file `canary` in the working folder if it ran; the module lies there, see `write_canary`.
CODE = (
    "__import__('os').system('touch canary')",
    "x=__import__('os').system('touch canary')",
    "canary_module:Thing",
    "canary_module",
    "os:system",
    "a\n    __import__('os').system('touch canary')",
    "__class__.__init__.__globals__",
    "../../../canary",
)
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 0.5, 100_000, 2**31, 2**63, 10**30, 1e308, -1e308, float("nan"), float("inf"),
    "", "x", "lstm", "\0", "\ud800", "x" * 10_000, [], [1, 2], [[]], {}, {"a": 1}, *CODE,
)  # fmt: skip


def write_canary(folder: Path) -> None:
    """A module in the working folder that leaves a trace when it is imported."""
    (folder / "canary_module.py").write_text("open('canary', 'w').close()\nclass Thing: pass\n")


def rehash(folder: Path) -> None:
    """Give config.json the digests of the files as they are now: a stranger would do so too."""
    if (folder / CONFIG).is_symlink() or not (folder / CONFIG).is_file():
        return  # a pipe or an endless device would be waited for, here
    try:
        config = json.loads((folder / CONFIG).read_text())
        for name in (WEIGHTS, SPEC, "vocabulary.json"):
            if (folder / name).is_file() and not (folder / name).is_symlink():
                config["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        (folder / CONFIG).write_text(json.dumps(config))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return  # config.json itself is damaged


def damage_file(rng: random.Random, path: Path, other: Path) -> str:
    """Remove, cut, change or replace one file; what was done."""
    content = path.read_bytes()
    how = rng.choice(["missing", "empty", "cut", "cut", "bits", "bits", "header", "other", "pipe", "folder", "link", "long", "line"])
    path.unlink()
    if how == "pipe":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    elif how == "link":
        path.symlink_to(rng.choice(["/dev/zero", "nowhere", path.name]))
    elif how != "missing":
        path.write_bytes(_damaged(rng, how, content, other))
    return f"{path.name} {how}"


def _damaged(rng: random.Random, how: str, content: bytes, other: Path) -> bytes:
    if how == "empty":
        return b""
    if how == "cut":
        return content[: rng.randrange(len(content))]
    if how == "other":
        return other.read_bytes()
    if how == "long":
        return content + rng.randbytes(rng.randint(1, 1000))
    if how == "line":
        lines = content.split(b"\n")
        del lines[rng.randrange(len(lines))]
        return b"\n".join(lines)
    changed = bytearray(content)
    end = min(len(changed), 2000) if how == "header" else len(changed)
    for _ in range(rng.choice([1, 3, 20])):
        changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values within a JSON value, without the value itself."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inner for place in [(*path, key), *places(item, (*path, key))]]


def damage_values(rng: random.Random, content: Any, count: int) -> str:
    """Replace, delete, add, rename or exchange some values of a JSON content in place; what was done."""
    done = []
    for _ in range(count):
        known = places(content)
        if not known:
            break
        place = rng.choice(known)
        holder = content
        for key in place[:-1]:
            holder = holder[key]
        how = rng.choice(["replace", "replace", "replace", "delete", "add", "rename", "exchange"])
        value = rng.choice(VALUES)
        if how == "delete":
            del holder[place[-1]]
        elif how == "add" and isinstance(holder, list):
            holder.insert(rng.randint(0, len(holder)), value)
        elif how == "add":
            holder[rng.choice([*CODE, "x", "__class__"])] = value
        elif how == "rename" and isinstance(holder, dict):
            holder[str(rng.choice(VALUES))] = holder.pop(place[-1])
        else:
            if how == "exchange":
                value = holder
                while isinstance(value, dict | list):  # another value of the same file
                    value = _at(content, rng.choice(known))
                    if rng.random() < 0.5:
                        break
                value = json.loads(json.dumps(value))
            holder[place[-1]] = value
        done.append(f"{how} {'.'.join(map(str, place))[:80]} {str(value)[:40]!r}")
    return "; ".join(done)


def _at(content: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        content = content[key] if isinstance(content, dict | list) and (isinstance(content, list) or key in content) else {}
    return content


def damage_json(rng: random.Random, path: Path) -> str:
    """Change one to three values of a JSON file."""
    content = json.loads(path.read_text())
    done = damage_values(rng, content, rng.choice([1, 1, 1, 2, 3]))
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return f"{path.name}: {done}"


def damage_tensors(rng: random.Random, path: Path) -> str:
    """Change names, types, shapes, offsets or values of the tensors, or the header's length."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, body = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    how = rng.choice(["header", "header", "length", "nan", "type"])
    done = how
    if how == "nan":
        start = 4 * rng.randrange(len(body) // 4)
        body[start : start + 4] = struct.pack("<f", rng.choice([float("nan"), float("inf"), 3e38]))
    elif how == "type":
        name = rng.choice([name for name in header if name != "__metadata__"])
        header[name]["dtype"] = rng.choice(["F64", "F16", "BF16", "I32", "I64", "U8", "BOOL", "F8_E4M3", "X"])
        done += f" {name}"
    elif how == "header":
        done += " " + damage_values(rng, header, 1)
    text = json.dumps(header).encode()
    size = rng.choice([0, 1, 2**63, 2**64 - 1, len(text) + 1]) if how == "length" else len(text)
    path.write_bytes(struct.pack("<Q", size) + text + bytes(body))
    return f"{path.name}: {done}"
