"""`showattend bulk` without Ray: every photo of any input is one row, also after an interruption, and captions are those of `caption`."""

import errno
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bulk_folders import PHOTOS, WORDS, as_oracle, bulk, captions_of_caption, jpeg, rows
from factories import untrained_model

from showattend.bulk import output, parts
from showattend.bulk.chunks import CaptionedChunk, Place, Row
from showattend.bulk.output import BulkOutput
from showattend.bulk.parts import PartAssembler
from showattend.bulk.units import END, Plan, Unit, write_plan
from showattend.cli.main import main
from showattend.data.transforms import Preprocessing
from showattend.pretrained import save_pretrained


def test_every_photo_is_a_row_with_the_caption_that_caption_gives(photos: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bulk(photos, model, "--format", "jsonl") == 0
    captured = capsys.readouterr()
    assert "out/parts: photos 11, parts 3; 1 could not be read" in captured.out
    assert "files left out: .doc (1)" in captured.err
    found = rows()
    assert [row["id"] for row in found] == [str(path) for path in sorted(photos.rglob("*.jpg"))]
    broken = found[4]
    assert broken["caption"] is broken["score"] is None
    assert "04.jpg: not a picture" in broken["error"]
    assert {row["model"] for row in found} == {json.loads(Path("out/run.json").read_text())["model"]}
    assert as_oracle(found) == captions_of_caption(photos, model)


def test_parquet_holds_the_same_rows_and_alphas(photos: Path, model: Path) -> None:
    assert bulk(photos, model, "--alphas", "--workers", 2) == 0
    assert bulk(photos, model, "--alphas", "--format", "jsonl", out="lines") == 0
    for ours, other in zip(rows(), rows("lines"), strict=True):
        assert ours.keys() == other.keys()
        assert {**ours, "score": 0, "alphas": 0} == {**other, "score": 0, "alphas": 0}
        if ours["error"] is None:
            assert ours["score"] == pytest.approx(other["score"])
            np.testing.assert_allclose(ours["alphas"], other["alphas"], atol=1e-5)
            assert len(ours["alphas"][0]) == ours["grid"][0] * ours["grid"][1]
            np.testing.assert_allclose(np.array(ours["alphas"]).sum(1), 1, rtol=1e-4)


def test_what_is_finished_is_not_done_again(photos: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bulk(photos, model) == 0
    first = {path.name: path.stat().st_mtime_ns for path in Path("out/parts").iterdir()}
    before = rows()
    Path("out/parts/part-000001.parquet").unlink()
    (photos / "z.jpg").write_bytes(jpeg(99))  # the plan stays as it was
    assert bulk(photos, model) == 0
    assert "2 of 3 parts are in out already" in capsys.readouterr().err
    assert rows() == before
    assert [name for name, time in first.items() if Path("out/parts", name).stat().st_mtime_ns != time] == ["part-000001.parquet"]


def test_a_run_that_is_stopped_goes_on(
    photos: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = output.write_part

    def write(path: Path, *rest: Any, **options: Any) -> None:
        if "000002" in path.name:
            raise KeyboardInterrupt
        real(path, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(output, "write_part", write)
        assert bulk(photos, model) == 130
    assert "showattend: stopped; 2 parts are kept in out: the same command goes on from there" in capsys.readouterr().err
    assert bulk(photos, model) == 0
    assert [row["id"] for row in rows()] == [str(path) for path in sorted(photos.rglob("*.jpg"))]


def test_shares_fill_one_folder(photos: Path, model: Path) -> None:
    for part in (2, 1, 3):
        assert bulk(photos, model, "--shard", f"{part}/3") == 0
        assert len(list(Path("out/parts").iterdir())) == {2: 1, 1: 2, 3: 3}[part]
    whole = as_oracle(rows())
    assert whole == captions_of_caption(photos, model)


def test_a_run_that_found_no_input_does_not_claim_the_folder(photos: Path, model: Path) -> None:
    assert bulk("photo", model) == 2, "a slip of the pen"
    assert bulk(photos, model) == 0
    assert len(rows()) == PHOTOS


@pytest.mark.parametrize("line", [b"no JSON", b"[1, 2]", b'{"kind": "files"}'])
def test_a_plan_of_no_units_is_refused(line: bytes, photos: Path, model: Path, refused: Callable[..., str]) -> None:
    assert bulk(photos, model) == 0
    for part in Path("out/parts").iterdir():
        part.unlink()
    Path("out/plan.jsonl.gz").write_bytes(gzip.compress(line + b"\n" + END))
    assert "the plan of the output folder is damaged" in refused(
        "bulk", photos, "--model", model, "--output", "out", "--shard", "1/1", "--unit-size", 4, *WORDS
    )


def test_the_folder_of_another_run_is_refused(photos: Path, model: Path, refused: Callable[..., str]) -> None:
    assert bulk(photos, model) == 0
    options = ["--model", model, "--output", "out", "--shard", "1/1", "--unit-size", 4, *WORDS]
    assert "its input is photos, and not photos/a" in refused("bulk", "photos/a", *options)
    assert "its generation beam is 2, and not 1" in refused("bulk", photos, *options, "--beam", "1")
    config = json.loads((model / "config.json").read_text())
    other = Path("other")
    save_pretrained(untrained_model(cell="gru"), other)
    assert json.loads((other / "config.json").read_text())["sha256"] != config["sha256"]
    assert "its model is" in refused("bulk", photos, "--model", other, *options[2:])
    Path("out/plan.jsonl.gz").write_bytes(gzip.compress(b'["files"'))
    assert "plan.jsonl.gz is damaged" in refused("bulk", photos, *options)


@pytest.fixture
def held() -> Iterator[Callable[[tuple[int, int]], BulkOutput]]:
    """Opens the folder `out` as processes do that work in it."""
    opened: list[BulkOutput] = []

    def hold(shard: tuple[int, int]) -> BulkOutput:
        opened.append(BulkOutput(Path("out"), {}, shard))
        return opened[-1]

    yield hold
    for one in opened:
        one.close()


@pytest.mark.parametrize(("one", "other"), [((1, 1), (1, 1)), ((1, 1), (1, 2)), ((1, 2), (1, 1)), ((1, 2), (1, 2)), ((1, 2), (1, 3))])
def test_two_runs_on_one_folder_are_kept_apart(
    one: tuple[int, int], other: tuple[int, int], photos: Path, held: Callable[[tuple[int, int]], BulkOutput]
) -> None:
    first = held(one)
    with pytest.raises(ValueError, match="another process works in out"):
        held(other)
    first.close()
    held(other)


def test_different_shares_work_at_the_same_time(photos: Path, held: Callable[[tuple[int, int]], BulkOutput]) -> None:
    for share in ((1, 3), (2, 3)):
        held(share).close()  # what they leave keeps nobody out
    held((1, 2))
    held((2, 2))
    for taken in ((1, 2), (2, 2), (1, 1)):
        with pytest.raises(ValueError, match="another process works in out"):
            held(taken)


def test_a_full_disk_says_what_is_kept(photos: Path, model: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    real = parts.WRITERS[".parquet"]

    def write(path: Path, *rest: Any, **options: Any) -> None:
        if "000001" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, *rest, **options)

    monkeypatch.setitem(parts.WRITERS, ".parquet", write)
    line = refused("bulk", photos, "--model", model, "--output", "out", "--shard", "1/1", "--unit-size", 4)
    assert "No space left on device: free some space" in line
    assert line.endswith("1 parts are kept in out: the same command goes on from there")
    assert [path.name for path in Path("out/parts").iterdir()] == ["part-000000.parquet"]


def test_a_photo_that_kills_its_process_is_a_row_at_the_second_attempt(
    photos: Path, model: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    expected = captions_of_caption(photos, model)
    real = Preprocessing.load_array

    def load_array(self: Preprocessing, path: Path) -> Any:
        if path.name == "06.jpg":
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, path)

    monkeypatch.setattr(Preprocessing, "load_array", load_array)
    command = ("bulk", photos, "--model", model, "--output", "out", "--shard", "1/1", "--unit-size", 4, "--batch-size", 2, "--workers", 1)
    line = refused(*command, *WORDS)
    assert "a process that reads photos was killed" in line
    assert line.endswith("parts are kept in out: the same command goes on from there")
    assert main([str(one) for one in (*command, *WORDS)]) == 0
    found = rows()
    assert [row["error"] for row in found if row["id"].endswith("06.jpg")] == [
        "photos/b/06.jpg: the process that decodes it dies (SIGKILL)"
    ]
    assert as_oracle(found) == {name: caption for name, caption in expected.items() if not name.endswith("06.jpg")}
    assert not Path("out", "begun").exists()


def test_chunks_may_come_in_any_order_and_twice() -> None:
    chunks = [CaptionedChunk(Place(7, start, start == 4), [Row(f"{start}", "a", 0.0, None)] * 2) for start in (0, 2, 4)]
    assembler = PartAssembler()
    assert [assembler.add(chunks[index]) for index in (2, 0, 0)] == [None, None, None]
    whole = assembler.add(chunks[1])
    assert whole is not None
    assert [row.id for row in whole] == ["0", "0", "2", "2", "4", "4"]


def test_processes_that_decode_load_no_torch() -> None:
    pytest.importorskip("pyarrow")
    script = "import sys, showattend.bulk.ray_workers; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    assert found.stdout == "False\n"


@pytest.mark.parametrize(
    ("unit", "photos"),
    [(Unit("files", "", ["a", "b"]), 6), (Unit("table", "t", ["t"], rows=(8, 12)), 12), (Unit("shard", "s.tar", ["s.tar"]), 3072)],
)
def test_the_work_ahead_is_known_from_the_plan(unit: Unit, photos: int, tmp_path: Path) -> None:
    write_plan(tmp_path / "plan", [unit] * 3)
    units = Plan(tmp_path / "plan").remaining(())
    assert units.num_photos(1024) == photos
    assert Plan(tmp_path / "plan").remaining((0, 1, 2)).num_photos(1024) == 0
