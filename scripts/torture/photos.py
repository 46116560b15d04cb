"""Photos: each generated file through `caption`, some of them through `attend`, and all of them in one folder."""

import json
import random
from pathlib import Path

from scripts.torture.fixtures import MODEL
from scripts.torture.outcome import Outcome, Plan, Record, Result
from scripts.torture.photo_files import write_photo
from scripts.torture.sandbox import classify, run_command


def run(plan: Plan, record: Record) -> None:
    """At least 200 files one by one in a full run, and folders of 40."""
    model = str(plan.fixtures / MODEL)
    for number in range(plan.count(240, 12)):
        record.attempt(f"photo {number}", lambda folder, number=number: _one(random.Random(f"{plan.seed} photo {number}"), folder, model))
    for number in range(plan.count(6, 1)):
        record.attempt(
            f"folder {number}", lambda folder, number=number: _folder(random.Random(f"{plan.seed} folder {number}"), folder, model)
        )


def _one(rng: random.Random, folder: Path, model: str) -> Result:
    photos = folder / "photos"
    photos.mkdir()
    kind, path = write_photo(rng, photos)
    command = (
        ["attend", str(path), "--out", "out.png"]
        if rng.random() < 0.2
        else ["caption", str(path), "--json", "out.json", "--csv", "out.csv"]
    )
    ended = run_command([*command, "--model", model], folder, timeout=60)
    result = classify(ended)
    if (folder / "canary").exists() or (photos / "canary").exists():
        result = Result(Outcome.LOST, "code of the photo ran")
    elif result.outcome is Outcome.GOOD and command[0] == "caption":
        result = _check_json(folder / "out.json", 1)
    return result._replace(detail=f"{kind}: {result.detail}")


def _folder(rng: random.Random, folder: Path, model: str) -> Result:
    """Each file of a folder gets exactly one line: a caption, or the reason why it has none."""
    photos = folder / "photos"
    for number in range(40):
        (photos / str(number)).mkdir(parents=True)
        write_photo(rng, photos / str(number))
    ended = run_command(["caption", "photos", "--model", model, "--json", "out.json", "--batch-size", "8"], folder, timeout=120)
    result = classify(ended)
    if result.outcome not in (Outcome.GOOD, Outcome.ONE_LINE):
        return result
    from showattend.data.photos import find_photos

    expected = len(find_photos([str(photos)]).paths)
    captioned = len(ended.stdout.splitlines())
    skipped = sum(line.startswith("skipped ") for line in ended.stderr.splitlines())
    if captioned + skipped != expected:
        return Result(Outcome.LOST, f"{expected} photos, {captioned} lines of captions, {skipped} lines of errors")
    return _check_json(folder / "out.json", captioned) if captioned else result


def _check_json(path: Path, count: int) -> Result:
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        return Result(Outcome.LOST, f"{path.name}: {error}")
    if len(entries) != count:
        return Result(Outcome.LOST, f"{path.name} has {len(entries)} captions, not {count}")
    return Result(Outcome.GOOD)
