"""Annotations: hypothesis damages files of every format, and the reader of that format reads them."""

import contextlib
import io
import shutil
import signal
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from scripts.torture import annotation_files as files
from scripts.torture import sandbox
from scripts.torture.fixtures import PHOTO
from scripts.torture.outcome import Outcome, Plan, Record, Result

SECONDS = 10  # of one example
Read = Callable[[Path, Path], object]


class Case(NamedTuple):
    """A format: the damaged file, its name in the folder, valid files beside it, and what reads them."""

    strategy: st.SearchStrategy[bytes]
    name: str
    read: Read
    beside: dict[str, str] = {}  # noqa: RUF012 (never changed)


class _TimedOut(BaseException):
    """Not an Exception, so that nothing between catches it."""


def run(plan: Plan, record: Record) -> None:
    """About 2,400 examples in a full run, spread evenly over the formats."""
    for number, (name, case) in enumerate(cases().items()):
        _run_case(name, case, plan, record, plan.count(100, 4), plan.seed * 1000 + number)


def cases() -> dict[str, Case]:
    """All readers of the package with their formats."""
    from showattend.data.boxes.readers import read_boxes
    from showattend.data.captions import Photo, read_captions
    from showattend.data.references import read_references
    from showattend.data.results import read_results
    from showattend.model_files import read_vocabulary

    def results(root: Path, path: Path) -> object:
        references = read_references(root / "references.json")
        return read_results(path, references)

    def folder(root: Path, path: Path, layout: str = "auto") -> object:
        return read_captions(root, layout)

    def references(root: Path, path: Path) -> object:
        return read_references(path)

    def boxes(kind: str, root: Path, path: Path) -> object:
        photos = [Photo(1, root / files.PNG, (files.CAPTION,))]
        objects = read_boxes(root, photos, kind)
        return [objects.object_words(photo, files.CAPTION.split()) for photo in photos if objects.size(photo)]

    def vocabulary(root: Path, path: Path) -> object:
        return read_vocabulary(path.parent, "nltk")

    entities = {"Annotations/a.xml": files.XML, "Sentences/a.txt": files.SENTENCES}
    import json

    return {
        "COCO folder": Case(files.json_file(files.CAPTIONS_COCO), "annotations/captions_val2017.json", folder),
        "Karpathy folder": Case(files.json_file(files.KARPATHY), "dataset.json", folder),
        "Flickr8k folder": Case(files.text_file(files.TOKENS), "Flickr8k.token.txt", folder),
        "CSV folder": Case(files.text_file(files.TABLE), "captions.csv", folder),
        "images and CSV folder": Case(files.text_file(files.TABLE), "captions.txt", folder),
        "Flickr30k folder": Case(files.text_file(files.TOKENS), "results_20130124.token", folder),
        "TextCaps folder": Case(files.json_file(files.TEXTCAPS), "TextCaps_0.1_val.json", folder),
        "folder like COCO": Case(files.json_file(files.CAPTIONS_COCO), "annotations/val.json", partial(folder, layout="coco-like")),
        "JSON lines folder": Case(files.text_file(files.LINES), "captions.jsonl", partial(folder, layout="json")),
        "JSON records folder": Case(files.json_file(files.RECORDS), "captions.json", folder),
        "metadata, CSV": Case(files.text_file(files.TABLE), "val/metadata.csv", folder),
        "metadata, JSON lines": Case(files.text_file(files.METADATA), "val/metadata.jsonl", folder),
        "text files": Case(files.text_file(files.CAPTION), "a.txt", folder),
        "references, TextCaps": Case(files.json_file(files.TEXTCAPS), "captions.json", references),
        "references, JSON lines": Case(files.text_file(files.LINES), "captions.jsonl", references),
        "references, COCO": Case(files.json_file(files.CAPTIONS_COCO), "captions.json", references),
        "references, Karpathy": Case(files.json_file(files.KARPATHY), "captions.json", references),
        "references, text": Case(st.one_of(files.text_file(files.TABLE), files.text_file(files.TOKENS)), "captions.txt", references),
        "results": Case(files.json_file(files.RESULTS), "results.json", results, {"references.json": json.dumps(files.CAPTIONS_COCO)}),
        "boxes, COCO": Case(files.json_file(files.INSTANCES), "annotations/instances_val2017.json", partial(boxes, "coco")),
        "boxes, XML": Case(files.text_file(files.XML), "Annotations/a.xml", partial(boxes, "entities"), entities),
        "boxes, sentences": Case(files.text_file(files.SENTENCES), "Sentences/a.txt", partial(boxes, "entities"), entities),
        "boxes, shapes": Case(files.json_file(_shapes()), "dataset_shapes.json", partial(boxes, "shapes")),
        "vocabulary": Case(files.json_file(files.VOCABULARY), "vocabulary.json", vocabulary),
    }


def _shapes() -> Any:
    """One picture of shapes with its scene."""
    import random
    from dataclasses import asdict

    from showattend.data.shapes.scene import random_scene

    scene = asdict(random_scene(random.Random(0)))
    return {"dataset": "shapes", "images": [{"filename": files.PNG, "split": "val", "scene": scene, **files.KARPATHY["images"][0]}]}


def _run_case(name: str, case: Case, plan: Plan, record: Record, examples: int, number: int) -> None:
    def one(content: bytes) -> None:
        root = Path(tempfile.mkdtemp(prefix="torture-annotations-"))
        try:
            _write(root, case, content, plan.fixtures / PHOTO)
            record.add(name, _read(case, root), root)
        finally:
            shutil.rmtree(root)

    options = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    test = seed(number)(options(given(case.strategy)(one)))
    test()


def _write(root: Path, case: Case, content: bytes, photo: Path) -> None:
    shutil.copy(photo, root / files.PNG)
    for name, text in {**case.beside, case.name: ""}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / case.name).write_bytes(content)


def _read(case: Case, root: Path) -> Result:
    from showattend.errors import InputError

    try:
        with _time_limit(), contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            case.read(root, root / case.name)
    except InputError as error:
        message = str(error)
        if "\n" in message.strip() or len(message) > 2000:
            return Result(Outcome.TRACEBACK, f"a message of more than one line: {message[:500]!r}")
        return Result(Outcome.ONE_LINE, message)
    except _TimedOut:
        return Result(Outcome.HANG, "".join(traceback.format_exc()))
    except Exception:
        return Result(Outcome.TRACEBACK, traceback.format_exc())
    return Result(Outcome.GOOD)


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TimedOut

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS * sandbox.patience)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
