"""`showattend bulk` without Ray: every photo of any input is one row, also after an interruption, and captions are those of `caption`."""

import csv
import errno
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from factories import untrained_model
from PIL import Image

from showattend.bulk import output, parts
from showattend.bulk.chunks import CaptionedChunk, Place, Row
from showattend.bulk.output import BulkOutput
from showattend.bulk.parts import PartAssembler
from showattend.bulk.units import END, Plan, Unit, write_plan
from showattend.cli.main import main
from showattend.data.photos import NOT_A_FILE
from showattend.data.transforms import Preprocessing
from showattend.pretrained import save_pretrained

PHOTOS = 11
WORDS = ("--min-length", "3")  # an untrained model would rather say nothing


def jpeg(index: int) -> bytes:
    pixels = np.random.default_rng(index).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer := io.BytesIO(), "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    save_pretrained(untrained_model(), folder := tmp_path_factory.mktemp("bulk") / "model")
    return folder


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos in two folders, one of them broken; the folder that holds them is the working folder."""
    monkeypatch.chdir(tmp_path)
    for index in range(PHOTOS):
        path = tmp_path / "photos" / ("a" if index < 6 else "b") / f"{index:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"broken" if index == 4 else jpeg(index))
    (tmp_path / "photos" / "notes.doc").write_text("no photo")
    return Path("photos")


def bulk(source: object, model: Path, *more: object, out: object = "out") -> int:
    options = ("--model", model, "--output", out, "--shard", "1/1", "--unit-size", 4, "--batch-size", 2, "--workers", 0, *WORDS)
    return main([str(one) for one in ("bulk", source, *options, *more)])


def rows(out: object = "out") -> list[dict[str, Any]]:
    """All rows of the parts, in their order."""
    found: list[dict[str, Any]] = []
    for path in sorted(Path(str(out)).glob("parts/part-*")):
        if path.suffix == ".jsonl":
            found += map(json.loads, path.read_text().splitlines())
        else:
            parquet = pytest.importorskip("pyarrow.parquet")
            found += parquet.read_table(path).to_pylist()
    return found


def captions_of_caption(photos: object, model: Path, batch_size: int = 2) -> dict[str, tuple[str, str]]:
    """Caption and score of each photo by `showattend caption`."""
    main(["caption", str(photos), "--model", str(model), "--workers", "0", "--batch-size", str(batch_size), *WORDS, "--csv", "oracle.csv"])
    with open("oracle.csv", newline="") as file:
        return {row["file"]: (row["caption"], row["score"]) for row in csv.DictReader(file)}


def as_oracle(found: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {row["id"]: (row["caption"], f"{row['score']:.4f}") for row in found if row["error"] is None}


def test_every_photo_is_a_row_with_the_caption_that_caption_gives(photos: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bulk(photos, model, "--format", "jsonl") == 0
    captured = capsys.readouterr()
    assert "11 photos in 3 parts in out/parts; 1 could not be read" in captured.out
    assert "1 files are left out: .doc (1)" in captured.err
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


def write_shard(path: Path, names: list[str], *, compressed: bool = False) -> None:
    with tarfile.open(path, "w:gz" if compressed else "w") as tar:
        for index, name in enumerate(names):
            for member, content in ((f"{name}.jpg", jpeg(index)), (f"{name}.txt", b"a caption")):
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def test_shards_are_units(photos: Path, model: Path) -> None:
    write_shard(Path("s-0.tar"), ["x", "y", "z"])
    write_shard(Path("s-1.tar.gz"), ["x", "y"], compressed=True)
    Path("s-2.tar").write_bytes(Path("s-0.tar").read_bytes()[:2000])
    assert bulk("s-*", model) == 0
    found = rows()
    names = ["s-0.tar/x.jpg", "s-0.tar/y.jpg", "s-0.tar/z.jpg", "s-1.tar.gz/x.jpg", "s-1.tar.gz/y.jpg"]
    assert [row["id"] for row in found[:5]] == names
    assert found[0]["caption"] == found[3]["caption"]
    assert found[-1]["id"] == "s-2.tar"
    assert "the shard is" in found[-1]["error"]


def test_a_header_that_would_fill_the_memory_is_refused_and_files_of_macos_are_left_out(photos: Path, model: Path) -> None:
    write_shard(Path("s.tar"), ["x", "._x"])
    with tarfile.open("bomb.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("x.jpg"))
        info = tarfile.TarInfo("name")
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**32
        tar.fileobj.write(info.tobuf())  # type: ignore[union-attr]
    assert bulk("*.tar", model) == 0
    assert [row["id"] for row in rows()] == ["bomb.tar/x.jpg", "bomb.tar", "s.tar/x.jpg"]
    assert "4294967296 bytes of headers" in rows()[1]["error"]


def test_a_shard_that_is_cut_between_two_members_says_so(photos: Path, model: Path) -> None:
    write_shard(Path("s.tar"), ["x", "y"])
    with tarfile.open("s.tar") as tar:
        end = tar.getmembers()[2].offset
    Path("s.tar").write_bytes(Path("s.tar").read_bytes()[:end])
    assert bulk("s.tar", model) == 0
    assert [(row["id"], row["error"]) for row in rows()] == [
        ("s.tar/x.jpg", None),
        ("s.tar", "s.tar: the shard is damaged (it is cut off after 3072 bytes: download or copy it again)"),
    ]


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


@pytest.mark.parametrize("name", ["a.txt", "a.tar", "a.jpg"])
def test_a_pipe_is_not_waited_for(
    name: str, photos: Path, model: Path, refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(photos / name)
    assert bulk(photos, model) == 0
    assert f"{NOT_A_FILE} (1)" in capsys.readouterr().err
    assert "it is a pipe" in refused("bulk", photos / name, "--output", "other", "--model", model)


def test_tables_hold_photos_or_name_them(photos: Path, model: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    contents = [jpeg(index) for index in range(9)]
    structs = [{"bytes": content, "path": "p.jpg"} for content in contents]
    parquet.write_table(arrow.table({"image": [*contents[:8], None], "key": range(100, 109)}), "bytes.parquet", row_group_size=3)
    parquet.write_table(arrow.table({"image": structs}), "structs.parquet")
    names = [str(path) for path in sorted(photos.rglob("*.jpg"))]
    parquet.write_table(arrow.table({"url": [*names[:3], None], "n": ["k", "l", "m", "n"]}), "names.parquet")
    assert bulk("bytes.parquet", model, "--id-column", "key", out="o1") == 0
    assert bulk("structs.parquet", model, out="o2") == 0
    assert bulk("names.parquet", model, out="o3") == 0
    assert bulk("names.parquet", model, "--id-column", "n", out="o4") == 0
    assert [row["id"] for row in rows("o1")] == [str(number) for number in range(100, 109)]
    assert "holds no photo" in rows("o1")[-1]["error"]
    assert [row["caption"] for row in rows("o1")[:8]] == [row["caption"] for row in rows("o2")[:8]]
    assert [row["id"] for row in rows("o2")] == [f"structs.parquet#{index}" for index in range(9)]
    assert [row["id"] for row in rows("o3")] == [*names[:3], "names.parquet#3"]
    assert as_oracle(rows("o3")).keys() == set(names[:3])
    assert [row["id"] for row in rows("o4")] == ["k", "l", "m", "n"]


def test_stores_give_the_same_captions(photos: Path, model: Path) -> None:
    memory = fsspec.filesystem("memory")
    for path in photos.rglob("*.jpg"):
        memory.pipe(f"/bucket/{path}", path.read_bytes())
    memory.pipe("/bucket/list.txt", b"photos/a/00.jpg\nphotos/none.jpg\nreference://x\n")
    assert bulk("memory://bucket/photos", model, out="o1") == 0
    assert bulk("memory://bucket/list.txt", model, out="o2") == 0
    assert bulk(f"file://{photos.resolve()}", model, out="o3") == 0
    oracle = captions_of_caption(photos, model)
    assert {
        key.removeprefix("memory://bucket/").removeprefix("memory:///bucket/"): value for key, value in as_oracle(rows("o1")).items()
    } == oracle
    assert list(as_oracle(rows("o3")).values()) == list(oracle.values())
    first, missing, forbidden = rows("o2")
    assert first["id"] == "photos/a/00.jpg"
    assert first["caption"] == oracle["photos/a/00.jpg"][0]
    assert "none.jpg" in missing["error"]
    assert "photos may lie in files or at" in forbidden["error"]


def test_names_that_are_no_utf8_are_escaped(photos: Path, model: Path) -> None:
    Path(os.fsdecode(b"photos/a/\xff.jpg")).write_bytes(jpeg(3))
    assert bulk(photos, model) == 0
    assert [row["id"] for row in rows() if row["error"] is None][5] == r"photos/a/\udcff.jpg"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no input at nowhere"),
        (["s3://bucket/photos"], "cannot read s3://bucket/photos"),
        (["http://127.0.0.1:9/list.txt"], "cannot read http://127.0.0.1:9/list.txt"),
        (["nothing://x"], "cannot read nothing://x"),
        (["table.parquet", "--column", "picture"], "has no column 'picture': name another with --column; it has a, b"),
        (["table.parquet"], "has no column of photos"),
        (["table.parquet", "--column", "b"], "neither photos nor their names"),
        (["photos", "--num-captions", "3"], "one caption a photo"),
        (["photos", "--address", "auto"], "--address is an option of Ray"),
        (["photos", "--output", "s3://bucket/out"], "no folder of a file system"),
        (["photos", "--output", "photos"], "holds other files"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, photos: Path, model: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)  # nobody is asked over the network
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"a": ["x"], "b": [1.5]}), "table.parquet")
    assert message in refused("bulk", *arguments[:1], "--model", model, "--output", "out", "--shard", "1/1", *arguments[1:])


def test_columns_that_libraries_would_unpickle_are_refused(photos: Path, model: Path, refused: Callable[..., str]) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

    class Pickled(arrow.ExtensionType):  # type: ignore[misc]
        def __arrow_ext_serialize__(self) -> bytes:
            return b""

        @classmethod
        def __arrow_ext_deserialize__(cls, storage: Any, content: bytes) -> Any:
            return cls(storage, "showattend.test")

    kind = Pickled(arrow.large_binary(), "showattend.test")
    column = arrow.ExtensionArray.from_storage(kind, arrow.array([b"x"], arrow.large_binary()))
    struct = arrow.StructArray.from_arrays([column], ["bytes"])
    arrow.register_extension_type(kind)
    try:
        parquet.write_table(arrow.table({"image": column, "key": ["k"]}), "direct.parquet")
        parquet.write_table(arrow.table({"image": struct}), "nested.parquet")
        parquet.write_table(arrow.table({"image": [b"x"], "key": column}), "key.parquet")
        for name in ("direct", "nested"):
            assert "neither photos nor" in refused("bulk", f"{name}.parquet", "--model", model, "--output", name, "--shard", "1/1")
        assert "no ids" in refused("bulk", "key.parquet", "--id-column", "key", "--model", model, "--output", "key", "--shard", "1/1")
    finally:
        arrow.unregister_extension_type("showattend.test")


def test_the_folder_of_another_run_is_refused(photos: Path, model: Path, refused: Callable[..., str]) -> None:
    assert bulk(photos, model) == 0
    options = ["--model", model, "--output", "out", "--shard", "1/1", "--unit-size", 4, *WORDS]
    assert "its input is photos, and not photos/a" in refused("bulk", "photos/a", *options)
    assert "its generation is" in refused("bulk", photos, *options, "--beam", "1")
    config = json.loads((model / "config.json").read_text())
    other = Path("other")
    save_pretrained(untrained_model(), other)
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
