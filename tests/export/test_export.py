"""Exported models caption as torch does, in onnxruntime and by the example, whatever the number of photos, beams and locations."""

import csv
import errno
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from factories import untrained_model
from PIL import Image

from showattend.attention import attention_names
from showattend.cells import cell_names
from showattend.cli.main import main
from showattend.decoding import GenerationConfig
from showattend.errors import InputError
from showattend.export import export_model
from showattend.export.graphs import FirstState, Step
from showattend.export.onnx_files import quantize
from showattend.inference import Caption, Captioner
from showattend.pretrained import load_pretrained
from showattend.runtime import ExportedCaptioner

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "caption_with_numpy.py"
Refused = Callable[..., str]


def captions_in(path: Path) -> dict[str, tuple[str, str]]:
    """File names to captions and scores."""
    with path.open(newline="") as file:
        return {row["file"]: (row["caption"], row["score"]) for row in csv.DictReader(file)}


@pytest.fixture
def photos(shapes: Path) -> list[Path]:
    return sorted((shapes / "images").glob("val*"))[:4]


@pytest.mark.parametrize("options", [[], ["--beam", "1", "--length-penalty", "1", "--max-length", "6"]], ids=" ".join)
def test_onnxruntime_captions_as_torch_does_and_without_torch(
    options: list[str], model: Path, exported: Path, photos: list[Path], tmp_path: Path
) -> None:
    command = ["caption", *map(str, photos), *options, "--batch-size", "3"]
    assert main([*command, "--model", str(model), "--csv", str(tmp_path / "torch.csv")]) == 0
    command += ["--backend", "onnxruntime", "--model", str(exported), "--csv", str(tmp_path / "onnx.csv")]
    code = f"import sys; from showattend.cli.main import main; assert main({command!r}) == 0; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    expected, found = captions_in(tmp_path / "torch.csv"), captions_in(tmp_path / "onnx.csv")
    assert {name: words for name, (words, _) in found.items()} == {name: words for name, (words, _) in expected.items()}
    assert all(float(found[name][1]) == pytest.approx(float(expected[name][1]), abs=2e-3) for name in expected)
    assert len({words for words, _ in found.values()}) > 1  # the captions depend on the photos


def test_the_example_captions_with_numpy_pillow_and_onnxruntime_alone(model: Path, exported: Path, photos: list[Path]) -> None:
    source = EXAMPLE.read_text()
    assert "showattend" not in source.split('"""', 2)[2]
    run = subprocess.run([sys.executable, EXAMPLE, exported, *photos], check=True, capture_output=True, text=True)
    captioner, config = Captioner.from_pretrained(model, "cpu"), GenerationConfig(3, load_pretrained(model).generation.max_length)
    expected = [f"{path}\t{captioner.caption(path, config)}" for path in photos]
    assert run.stdout.splitlines() == expected


def test_photos_hypotheses_and_locations_are_free_in_the_graphs(model: Path, exported: Path) -> None:
    network = load_pretrained(model).network
    contract = json.loads((exported / "contract.json").read_text())["graphs"]
    sessions = {name: onnxruntime.InferenceSession(exported / graph["file"]) for name, graph in contract.items()}
    names = {name: [spec["name"] for spec in graph["inputs"]] for name, graph in contract.items()}
    for count, beams, locations in ((1, 1, 9), (3, 4, 1), (2, 1, 64)):
        features = torch.randn(count, locations, network.encoder.channels)
        first = [entry.numpy() for entry in FirstState(network.decoder)(features)]
        check(sessions["first_state"].run(None, {"features": features.numpy()}), first)
        entries = len(network.decoder.cell.state_names)
        inputs = [np.full((count, beams), 5), *(each.repeat(beams, 1) for each in first[:entries]), *first[entries:]]
        expected = Step(network.decoder)(*map(torch.from_numpy, inputs))
        check(sessions["step"].run(None, dict(zip(names["step"], inputs, strict=True))), [each.numpy() for each in expected])
    for name, session in sessions.items():
        for specs, values in ((contract[name]["inputs"], session.get_inputs()), (contract[name]["outputs"], session.get_outputs())):
            assert [(spec["name"], spec["shape"]) for spec in specs] == [(value.name, value.shape) for value in values]


def test_a_graph_that_gives_nan_is_no_captioner(exported: Path, photos: list[Path], tmp_path: Path, refused: Refused) -> None:
    folder = shutil.copytree(exported, tmp_path / "nan")
    contract = json.loads((folder / "contract.json").read_text())
    path = folder / contract["graphs"]["step"]["file"]
    step = onnx.load(path)
    for tensor in step.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = np.full_like(onnx.numpy_helper.to_array(tensor), np.nan)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(step, path)
    contract["sha256"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "contract.json").write_text(json.dumps(contract))
    assert "give NaN, which is no probability" in refused("caption", photos[0], "--backend", "onnxruntime", "--model", folder)


@pytest.mark.parametrize(
    ("grid", "message"),
    [({"step": 0.0}, "step"), ({"first": 1e308}, "first"), ({"shape": [-3, 10]}, "shape"), ({"shape": [3, 10]}, "look at another grid")],
)
def test_a_grid_that_cannot_be_is_refused(
    grid: dict[str, Any], message: str, exported: Path, photos: list[Path], tmp_path: Path, refused: Refused
) -> None:
    folder = shutil.copytree(exported, tmp_path / "grid")
    contract = json.loads((folder / "contract.json").read_text())
    contract["grid"] |= grid
    (folder / "contract.json").write_text(json.dumps(contract))
    assert message in refused("caption", photos[0], "--backend", "onnxruntime", "--model", folder)


def check(found: Any, expected: Any) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_8_bits_are_smaller_and_almost_equal(exported: Path, model: Path, tmp_path: Path) -> None:
    shutil.copy(exported / "first_state.onnx", tmp_path)
    quantize(tmp_path / "first_state.onnx")
    features = np.random.default_rng(0).random((2, 64, 128), dtype=np.float32)
    whole, rounded = (
        onnxruntime.InferenceSession(folder / "first_state.onnx").run(None, {"features": features}) for folder in (exported, tmp_path)
    )
    assert (tmp_path / "first_state.onnx").stat().st_size < 0.6 * (exported / "first_state.onnx").stat().st_size
    assert 0 < np.abs(whole[0] - rounded[0]).max() < 0.05


@pytest.mark.slow
def test_torch_export_keeps_the_same_graphs(tmp_path: Path) -> None:
    model = untrained_model(cell="ligru", attention="multi_head")
    export_model(model, tmp_path / "pt2", "pt2")
    network, size = model.network, model.preprocessing.image_size
    programs = {name: torch.export.load(tmp_path / "pt2" / f"{name}.pt2").module() for name in ("encoder", "first_state", "step")}
    photos = torch.randint(256, (5, 3, size, size), dtype=torch.uint8)
    with torch.inference_mode():
        features = network.encoder(photos).features
        check([programs["encoder"](photos)], [features])
        first = FirstState(network.decoder)(features)
        check(programs["first_state"](features), first)
        entries = len(network.decoder.cell.state_names)
        inputs = [torch.full((5, 2), 5), *(each.repeat(1, 2, *[1] * (each.dim() - 2)) for each in first[:entries]), *first[entries:]]
        check(programs["step"](*inputs), Step(network.decoder)(*inputs))


def test_the_command_exports_in_8_bits(model: Path, exported: Path, photos: list[Path], tmp_path: Path) -> None:
    folder = shutil.copytree(exported, tmp_path / "int8")
    for name in ("page.json", "index.html", "mine.txt"):  # a page before
        (folder / name).write_text("{}")
    assert main(["export", "--model", str(model), "--out", str(folder), "--int8"]) == 0
    assert {path.name for path in folder.iterdir()} == {"mine.txt", *(path.name for path in exported.iterdir())}
    assert (folder / "step.onnx").stat().st_size < 0.8 * (exported / "step.onnx").stat().st_size
    command = ["caption", *map(str, photos), "--backend", "onnxruntime", "--model", str(folder)]
    assert main([*command, "--csv", str(tmp_path / "captions.csv")]) == 0
    captions = captions_in(tmp_path / "captions.csv")
    assert len(captions) == len(photos)
    assert all(caption for caption, _ in captions.values())


def test_an_export_that_fails_leaves_the_older_one(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(graph: object, path: Path, *, int8: bool) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = tmp_path / "out"
    shutil.copytree(exported, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr("showattend.export.folder.record_graphs", lambda network, image_size: {"encoder": None})
    monkeypatch.setattr("showattend.export.folder.write_onnx", full_disk)
    with pytest.raises(InputError, match=r"cannot write .*out: No space left on device"):
        export_model(untrained_model(), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_attention_that_samples_is_refused(tmp_path: Path) -> None:
    model = untrained_model(attention="hard")
    model.network.decoder.attention.set_inference_mode("sample")
    with pytest.raises(InputError, match="hard attention that samples has no fixed graph"):
        export_model(model, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "int8"], "showattend export has --int8"),
        (["--ensemble", "x"], "--ensemble is an option of torch"),
        (["--device", "cuda"], "--device is an option of torch"),
        (["--sample"], "without sample: caption with the model folder"),
        (["--beam", "4", "--groups", "2"], "without groups"),
    ],
)
def test_options_of_torch_alone_are_refused(options: list[str], message: str, exported: Path, photos: list[Path], refused: Refused) -> None:
    assert message in refused("caption", photos[0], "--backend", "onnxruntime", "--model", exported, *options)


def test_a_folder_that_is_no_export_is_refused(model: Path, photos: list[Path], tmp_path: Path, refused: Refused) -> None:
    assert "no exported model at" in refused("caption", photos[0], "--backend", "onnxruntime", "--model", model)
    assert "no model: give --model DIR" in refused("caption", photos[0], "--backend", "onnxruntime")
    assert "is no exported model: choose another folder" in refused("export", "--model", model, "--out", model)
    assert "unknown format 'tflite'" in refused("export", "--model", model, "--out", tmp_path / "x", "--format", "tflite")
    assert "int8 is onnxruntime's" in refused("export", "--model", model, "--out", tmp_path / "x", "--format", "pt2", "--int8")
    assert not (tmp_path / "x").exists()


def claim_another_runtime(folder: Path) -> None:
    path = folder / "contract.json"
    path.write_text(path.read_text().replace('"runtime": "onnx"', '"runtime": "pt2"'))


def damage_digest(folder: Path) -> None:
    (folder / "step.onnx").write_bytes(b"other")


def damage_contract(folder: Path) -> None:
    path = folder / "contract.json"
    path.write_text(path.read_text().replace('"image_size": 64', '"image_size": "many"'))


def damage_format(folder: Path) -> None:
    path = folder / "contract.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 9'))


def name_a_file_elsewhere(folder: Path) -> None:
    path = folder / "contract.json"
    path.write_text(path.read_text().replace("step.onnx", "../step.onnx"))


def lose_a_file(folder: Path) -> None:
    (folder / "encoder.onnx").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (claim_another_runtime, "was exported as pt2: onnxruntime needs showattend export --format onnx"),
        (damage_digest, "is not the file that contract.json was written for"),
        (damage_contract, "image_size"),
        (damage_format, "has the format 9"),
        (name_a_file_elsewhere, "lacks ../step.onnx"),
        (lose_a_file, "lacks encoder.onnx"),
    ],
)
def test_a_damaged_export_is_refused_in_one_line(
    damage: Callable[[Path], None], message: str, exported: Path, photos: list[Path], tmp_path: Path, refused: Refused
) -> None:
    folder = tmp_path / "out"
    shutil.copytree(exported, folder)
    damage(folder)
    assert message in refused("caption", photos[0], "--backend", "onnxruntime", "--model", folder)


def test_without_onnxruntime_one_line_says_what_to_install(
    exported: Path, model: Path, photos: list[Path], tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'showattend[onnx]'" in refused("caption", photos[0], "--backend", "onnxruntime", "--model", exported)


def test_a_broken_photo_is_reported_and_the_others_are_captioned(
    exported: Path, photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    assert main(["caption", str(photos[0]), str(broken), str(photos[1]), "--backend", "onnxruntime", "--model", str(exported)]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert f"skipped {broken}" in captured.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "attention"), [*((cell, "soft") for cell in cell_names()), *(("lstm", name) for name in attention_names() if name != "soft")]
)
def test_every_cell_and_attention_captions_alike_in_onnxruntime(cell: str, attention: str, tmp_path: Path) -> None:
    model = untrained_model(cell=cell, attention=attention)
    for parameter in model.network.decoder.parameters():
        parameter.data.mul_(2)
    paths = []
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (80, 60 + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path := tmp_path / f"{number}.png")
        paths.append(path)
    export_model(model, tmp_path / "out")
    captioners = Captioner(model, "cpu"), ExportedCaptioner.from_folder(tmp_path / "out")
    for config in (GenerationConfig(1, 6, min_length=1), GenerationConfig(3, 6, 0.7, min_length=2)):
        expected, found = (dict(each.caption_files(paths, config)) for each in captioners)
        for path in paths:
            one, other = expected[path], found[path]
            assert isinstance(one, Caption)
            assert isinstance(other, Caption)
            assert (one.words, one.crop_box, one.grid_box, one.grid_shape) == (
                other.words,
                other.crop_box,
                other.grid_box,
                other.grid_shape,
            )
            assert one.score == pytest.approx(other.score, abs=1e-4)
            np.testing.assert_allclose(one.alphas.numpy(), other.alphas, atol=1e-5)
