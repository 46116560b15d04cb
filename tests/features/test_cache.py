"""The feature cache: equal to the encoder's features, built once, and rebuilt when anything it depends on changes."""

import copy
import hashlib
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter
from tqdm import tqdm

from showattend.data.captions import Photo
from showattend.data.transforms import Preprocessing
from showattend.encoders import Encoder, EncoderConfig, make_encoder
from showattend.errors import InputError
from showattend.features.cache import is_cached, open_or_build_cache, open_or_join_caches
from showattend.features.manifest import RowOptions
from showattend.features.photo_files import open_photo_files
from showattend.features.row_formats import FLOAT16, INT8, decode_row, encode_rows


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    rng = np.random.default_rng(0)
    for n in range(5):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(tmp_path / f"{n}.png")
    return [Photo(n, tmp_path / f"{n}.png", ("a caption",)) for n in range(5)]


@pytest.fixture
def encoder() -> Encoder:
    return make_encoder(EncoderConfig("tiny", "none")).eval()


@pytest.fixture
def rows(encoder: Encoder) -> RowOptions:
    """Features of photos of 32 pixels."""
    return RowOptions(Preprocessing(32), encoder)


def test_rows_are_the_encoder_s_features_of_each_photo(photos: list[Photo], encoder: Encoder, tmp_path: Path) -> None:
    preprocessing = Preprocessing(32)
    cache = open_or_build_cache(photos, RowOptions(preprocessing, encoder), tmp_path / "cache", batch_size=2)
    assert cache.shape == (5, 16, encoder.channels)
    for row, photo in enumerate(photos):
        with torch.inference_mode():
            expected = encoder(preprocessing.load(photo.path)[0].unsqueeze(0))[0][0]
        assert torch.allclose(cache.read(row).float(), expected, atol=2e-3)
    assert np.array_equal(np.load(cache.path)[3], cache.read(3).numpy())


def test_without_an_encoder_rows_are_the_pixels(photos: list[Photo], tmp_path: Path) -> None:
    cache = open_or_build_cache(photos, RowOptions(Preprocessing(32)), tmp_path / "cache")
    assert torch.equal(cache.read(4), Preprocessing(32).load(photos[4].path)[0])


def test_a_second_call_reads_no_photo(photos: list[Photo], rows: RowOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_or_build_cache(photos, rows, tmp_path / "cache")
    monkeypatch.setattr(Preprocessing, "load", lambda *_: pytest.fail("read again"))
    assert open_or_build_cache(photos, rows, tmp_path / "cache") == first


def test_anything_that_changes_the_rows_changes_the_file(photos: list[Photo], encoder: Encoder, rows: RowOptions, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    paths = [open_or_build_cache(photos, rows, folder).path]
    paths.append(open_or_build_cache(photos, RowOptions(Preprocessing(32).mirrored(), encoder), folder).path)
    paths.append(open_or_build_cache(photos, RowOptions(Preprocessing(40), encoder), folder).path)
    paths.append(open_or_build_cache(photos, RowOptions(Preprocessing(32), encoder, dtype=torch.bfloat16), folder).path)
    paths.append(open_or_build_cache(photos[:4], rows, folder).path)
    paths.append(open_or_build_cache(photos, RowOptions(Preprocessing(32), make_encoder(EncoderConfig("tiny", "none"))), folder).path)
    built_otherwise = copy.deepcopy(encoder)
    built_otherwise.spec = lambda: {"power": 2}  # type: ignore[method-assign]  # of the same weights
    paths.append(open_or_build_cache(photos, RowOptions(Preprocessing(32), built_otherwise), folder).path)
    Image.new("RGB", (9, 9)).save(photos[0].path)
    paths.append(open_or_build_cache(photos, rows, folder).path)
    assert len(set(paths)) == len(paths)


def test_features_of_one_s_own_encoder_are_computed_again_when_its_code_changes(
    photos: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    code = tmp_path / "own_encoder.py"
    code.write_text("from showattend.encoders.tiny_cnn import TinyCNN\n\nclass Mine(TinyCNN):\n    pass\n")
    rows = RowOptions(Preprocessing(32), make_encoder(EncoderConfig("own_encoder:Mine", "none")).eval())
    first = open_or_build_cache(photos, rows, tmp_path / "cache").path
    assert open_or_build_cache(photos, rows, tmp_path / "cache").path == first
    code.write_text(code.read_text() + "    # changed\n")
    assert open_or_build_cache(photos, rows, tmp_path / "cache").path != first


def test_broken_photos_are_named_and_the_others_kept(photos: list[Photo], rows: RowOptions, tmp_path: Path) -> None:
    photos[1].path.write_bytes(b"")
    cache = open_or_build_cache(photos, rows, tmp_path / "cache", batch_size=2)
    assert list(cache.broken) == [1]
    assert open_or_build_cache(photos, rows, tmp_path / "cache") == cache
    assert not cache.read(1).any()
    assert cache.read(2).any()


@pytest.mark.parametrize("without_bars", [False, True])
def test_a_broken_photo_of_a_later_batch_is_the_row_that_is_left_out(
    without_bars: bool, photos: list[Photo], rows: RowOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("extraction", "photo_files"):
        monkeypatch.setattr(f"showattend.features.{module}.tqdm", partial(tqdm, disable=without_bars))  # as TQDM_DISABLE=1 does
    monkeypatch.setattr("showattend.features.photo_files.BATCH", 2)
    photos[3].path.write_text("no picture")
    cache = open_or_build_cache(photos, rows, tmp_path / "cache", batch_size=2, workers=0)
    assert set(cache.broken) == {3}
    assert set(open_photo_files(photos, Preprocessing(32), tmp_path, workers=0).broken) == {3}


def test_a_photo_is_read_again_after_more_pixels_were_allowed(
    photos: list[Photo], rows: RowOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (300, 300)).save(photos[1].path)

    def broken() -> list[set[int]]:
        cache = open_or_build_cache(photos, rows, tmp_path / "cache", workers=0)
        return [set(cache.broken), set(open_photo_files(photos, Preprocessing(32), tmp_path, workers=0).broken)]

    monkeypatch.setenv("SHOWATTEND_MAX_PIXELS", "40000")
    assert broken() == [{1}, {1}]
    monkeypatch.setenv("SHOWATTEND_MAX_PIXELS", "100000")
    assert broken() == [set(), set()]


def test_a_photo_that_killed_its_process_kills_none_when_the_cache_is_opened_again(
    photos: list[Photo], rows: RowOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load, deadly = Preprocessing.load, photos[1].path
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.2,))  # seconds between looks at the workers

    def crash(self: Preprocessing, path: Path) -> Any:
        if path == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return load(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Preprocessing, "load", crash)
        cache = open_or_build_cache(photos, rows, tmp_path / "cache")
        assert "the process that decodes it dies (SIGKILL)" in cache.broken[1]
        assert open_or_build_cache(photos, rows, tmp_path / "cache", workers=0) == cache
    assert "can be read now" not in capsys.readouterr().err
    assert open_or_build_cache(photos, rows, tmp_path / "cache", workers=0).broken == {}
    assert capsys.readouterr().err.count("can be read now: all are read again") == 1


def test_a_cache_with_a_broken_photo_opens_again_after_several_threads_have_worked(tmp_path: Path) -> None:
    """A fork of a process with threads must not wait for them; 224 pixels are enough for torch to use two."""
    code = """
import sys, torch
from pathlib import Path
from PIL import Image
from showattend.data.captions import Photo
from showattend.data.transforms import Preprocessing
from showattend.encoders import EncoderConfig, make_encoder
from showattend.features.cache import open_or_build_cache
from showattend.features.manifest import RowOptions
torch.set_num_threads(2)
folder = Path(sys.argv[1])
Image.new("RGB", (300, 300)).save(folder / "0.png")
(folder / "1.png").write_text("no picture")
photos = [Photo(n, folder / f"{n}.png", ("a caption",)) for n in range(2)]
for _ in range(2):
    torch.ones(3000, 3000).sum()
    torch.manual_seed(0)
    encoder = make_encoder(EncoderConfig("tiny", "none")).eval()
    print(list(open_or_build_cache(photos, RowOptions(Preprocessing(224), encoder), folder, workers=0).broken))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert run.stdout == "[1]\n[1]\n"


def test_nothing_readable_is_an_error_and_leaves_nothing(photos: list[Photo], rows: RowOptions, tmp_path: Path) -> None:
    for photo in photos:
        photo.path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="none of the 5 photos"):
        open_or_build_cache(photos, rows, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_interruption_leaves_nothing(photos: list[Photo], rows: RowOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Preprocessing.load
    monkeypatch.setattr(
        Preprocessing, "load", lambda self, path: load(self, path) if path != photos[3].path else (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        open_or_build_cache(photos, rows, tmp_path / "cache", batch_size=1, workers=0)
    assert list((tmp_path / "cache").iterdir()) == []


DAMAGE = {
    "payload cut": (".npy", lambda content: content[:-100]),
    "payload empty": (".npy", lambda content: b""),
    "payload changed": (".npy", lambda content: content[:-1] + bytes([content[-1] ^ 1])),
    "payload of another file": (".npy", lambda content: content[:10] + content),
    "header changed": (".npy", lambda content: content.replace(b"<f2", b"<i2")),
    "manifest of other weights": (".json", lambda content: content.replace(b'"weights": "', b'"weights": "0')),
    "manifest cut": (".json", lambda content: content[: len(content) // 2]),
    "manifest empty": (".json", lambda content: b""),
    "manifest a list": (".json", lambda content: b"[]"),
    "manifest a number": (".json", lambda content: b"3"),
    "broken a list": (".json", lambda content: content.replace(b'"broken": {}', b'"broken": [1]')),
    "digest missing": (".json", lambda content: content.replace(b'"sha256"', b'"other"')),
    "a photo beyond the last": (".json", lambda content: content.replace(b'"broken": {', b'"broken": {"99": "x"')),
    "not text": (".json", lambda content: b"\xff" + content),
    "record of the check": (".checked", lambda content: b"[" * 100_000),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_built_again(
    damage: str, photos: list[Photo], rows: RowOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = open_or_build_cache(photos, rows, tmp_path / "cache", workers=0)
    expected = [cache.read(row) for row in range(len(photos))]
    suffix, change = DAMAGE[damage]
    path = cache.path.with_suffix(suffix)
    content = path.read_bytes()
    assert change(content) != content
    path.write_bytes(change(content))
    capsys.readouterr()
    again = open_or_build_cache(photos, rows, tmp_path / "cache", workers=0)
    assert all(torch.equal(again.read(row), expected[row]) for row in range(len(photos)))
    lines = [line for line in capsys.readouterr().err.splitlines() if "is damaged" in line]
    assert len(lines) == (suffix != ".checked")
    assert open_or_build_cache(photos, rows, tmp_path / "cache", workers=0) == again
    assert "damaged" not in capsys.readouterr().err


def test_the_digest_is_compared_once_for_a_file(
    photos: list[Photo], rows: RowOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, digests = tmp_path / "cache", list[str]()
    file_digest = hashlib.file_digest
    cache = open_or_build_cache(photos, rows, folder)
    monkeypatch.setattr("hashlib.file_digest", lambda *args: digests.append(args[1]) or file_digest(*args))
    open_or_build_cache(photos, rows, folder)
    assert digests == []
    os.utime(cache.path)
    for _ in range(2):
        open_or_build_cache(photos, rows, folder)
        assert digests == ["sha256"]


def test_a_full_disk_is_an_error_before_any_work(
    photos: list[Photo], rows: RowOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(InputError, match=r"--data\.cache_dir"):
        open_or_build_cache(photos, rows, tmp_path / "cache")


def test_int8_rows_are_within_half_a_level_of_each_channel_in_half_the_space(
    photos: list[Photo], encoder: Encoder, rows: RowOptions, tmp_path: Path
) -> None:
    exact = open_or_build_cache(photos, rows, tmp_path / "cache")
    rounded = open_or_build_cache(photos, RowOptions(Preprocessing(32), encoder, INT8), tmp_path / "cache")
    assert (rounded.shape, rounded.input_type) == (exact.shape, exact.input_type)
    assert rounded.nbytes < 0.65 * exact.nbytes  # with more locations, the scales count for less
    for row in range(len(photos)):
        features, levels = exact.read(row).float(), rounded.read(row)
        assert levels.dtype == torch.float16
        half_a_level = features.abs().amax(0) / 254
        assert ((levels.float() - features).abs() <= 1.1 * half_a_level + 1e-3).all()


@pytest.mark.parametrize("largest", [0.0, 1e-6, 1.0, 6e4])
def test_int8_rows_keep_zeros_signs_and_the_largest_value(largest: float) -> None:
    values = torch.tensor([0.0, -0.5, 1.0]).view(1, 3, 1) * largest
    row = decode_row(encode_rows(INT8, values)[0]).float()
    assert row.isfinite().all()
    assert torch.allclose(row, values[0], rtol=8e-3, atol=1e-7)
    assert row[0] == 0


def test_without_a_cache_photos_are_decoded_at_each_read(photos: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos[1].path.write_bytes(b"")
    source = open_photo_files(photos, Preprocessing(32), tmp_path / "cache", workers=0)
    assert list(source.broken) == [1]
    assert torch.equal(source.read(4), Preprocessing(32).load(photos[4].path)[0])
    monkeypatch.setattr(Preprocessing, "load", lambda *_: pytest.fail("read again"))
    assert open_photo_files(photos, Preprocessing(32), tmp_path / "cache").broken == source.broken


@pytest.mark.parametrize("content", ["", "[]", '{"x": 1}', '{"99": "x"}', "{"])
def test_a_damaged_memory_of_broken_photos_is_made_again(photos: list[Photo], tmp_path: Path, content: str) -> None:
    photos[2].path.write_bytes(b"")
    folder = tmp_path / "cache"
    broken = open_photo_files(photos, Preprocessing(32), folder, workers=0).broken
    next(folder.iterdir()).write_text(content)
    assert open_photo_files(photos, Preprocessing(32), folder, workers=0).broken == broken == {2: broken[2]}


@pytest.mark.parametrize("features_as", [FLOAT16, INT8])
def test_caches_of_shares_join_to_the_cache_of_all(photos: list[Photo], encoder: Encoder, tmp_path: Path, features_as: str) -> None:
    photos[1].path.write_bytes(b"")
    rows = RowOptions(Preprocessing(32), encoder, features_as)
    whole = open_or_build_cache(photos, rows, tmp_path / "whole")
    folder, shares = tmp_path / "shared", [(0, 2), (2, 5)]
    for begin, end in shares:
        open_or_build_cache(photos[begin:end], rows, folder)
    assert not is_cached(photos, rows, folder)
    joined = open_or_join_caches(photos, rows, folder, shares=shares)
    assert is_cached(photos, rows, folder)
    assert list(joined.broken) == list(whole.broken) == [1]
    assert joined.path.name == whole.path.name
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in (tmp_path / "whole").iterdir())
    # A batch of another size may round a convolution's sums otherwise.
    for row in range(len(photos)):
        assert torch.allclose(joined.read(row), whole.read(row), atol=5e-3)
