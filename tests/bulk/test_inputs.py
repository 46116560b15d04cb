"""The inputs of `showattend bulk`: shards, tables, stores, pipes, names of any bytes, and what is none."""

import io
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from bulk_folders import as_oracle, bulk, captions_of_caption, jpeg, rows

from showattend.data.photos import NOT_A_FILE


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


@pytest.mark.parametrize("name", ["a.txt", "a.tar", "a.jpg"])
def test_a_pipe_is_not_waited_for(
    name: str, photos: Path, model: Path, refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(photos / name)
    assert bulk(photos, model) == 0
    assert f"{NOT_A_FILE} (1)" in capsys.readouterr().err
    assert "it is a pipe" in refused("bulk", photos / name, "--output", "other", "--model", model)
    Path("list.txt").write_text(f"file://{photos / name}\n")
    assert bulk("list.txt", model, out="listed") == 0
    assert "a pipe, socket or device" in rows("listed")[0]["error"]


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
