"""`showattend ground` from the command line: the same boxes in three formats, and what goes wrong."""

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from showattend import Captioner
from showattend.cli.main import main
from showattend.data.captions import read_captions
from showattend.data.shapes import read_scenes
from showattend.data.shapes.scene import KINDS
from showattend.demo import caption_all
from showattend.grounding import compare_with_scenes

PHOTOS = 8


def ground(model: Path, root: Path, out: Path, *more: object) -> dict[str, dict[str, object]]:
    """Run the command; the figures that it wrote."""
    assert main(["ground", "--model", str(model), "--data.root", str(root), "--out", str(out), "--workers", "0", *map(str, more)]) == 0
    return {path.stem: json.loads(path.read_text()) for path in out.glob("*.json")}


@pytest.fixture
def elsewhere(shapes: Path, tmp_path: Path) -> Path:
    """The shapes without their scenes: a folder in Karpathy's layout, for boxes in other formats."""
    root = tmp_path / "data"
    root.mkdir()
    (root / "images").symlink_to(shapes / "images")
    (root / "dataset_other.json").write_text((shapes / "dataset_shapes.json").read_text())
    return root


def as_entities(shapes: Path, root: Path) -> None:
    """The boxes of shapes in the format of Flickr30k Entities, each shape an entity."""
    for folder in ("Annotations", "Sentences"):
        (root / folder).mkdir()
    for image in json.loads((shapes / "dataset_shapes.json").read_text())["images"]:
        numbers: dict[tuple[float, ...], int] = {}
        lines = []
        for sentence in image["sentences"]:
            words = list(sentence["tokens"])
            for phrase in sentence["phrases"]:
                number = numbers.setdefault(tuple(phrase["box"]), len(numbers) + 1)
                words[phrase["first"]] = f"[/EN#{number}/other {words[phrase['first']]}"
                words[phrase["last"] - 1] += "]"
            lines.append(" ".join(words))
        name = Path(image["filename"]).stem
        (root / "Sentences" / f"{name}.txt").write_text("\n".join(lines))
        objects = ""
        for (left, upper, right, lower), number in numbers.items():
            edges = {"xmin": left + 1, "ymin": upper + 1, "xmax": right, "ymax": lower}
            box = "".join(f"<{name}>{edge}</{name}>" for name, edge in edges.items())
            objects += f"<object><name>{number}</name><bndbox>{box}</bndbox></object>"
        size = "<size><width>128</width><height>128</height></size>"
        (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{size}{objects}</annotation>")


def as_coco(shapes: Path, root: Path) -> None:
    """The boxes of shapes as instances of COCO, each kind a category."""
    images, things = [], []
    for number, (name, scene) in enumerate(read_scenes(shapes).items()):
        images.append({"id": number, "file_name": name, "width": 128, "height": 128})
        for shape in scene.shapes:
            left, upper, right, lower = shape.box
            bbox = [left, upper, right - left, lower - upper]
            things.append({"id": len(things), "image_id": number, "category_id": KINDS.index(shape.kind), "bbox": bbox})
    (root / "annotations").mkdir()
    categories = [{"id": i, "name": kind} for i, kind in enumerate(KINDS)]
    whole = {"images": images, "annotations": things, "categories": categories}
    (root / "annotations" / "instances_all.json").write_text(json.dumps(whole))


def test_ground_prints_writes_and_draws(model: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "curves.png"
    written = ground(model, shapes, tmp_path / "out", "--split", "train", "--faithfulness", 6, "--plot", plot)
    printed = capsys.readouterr().out
    for named in ("pointing", "mass in boxes", "IoU at", "chance", "centre", "deletion", "insertion", "noun", str(plot)):
        assert named in printed
    assert plot.stat().st_size > 10_000
    grounding, faithful = written["grounding"], written["faithfulness"]
    rows = list(csv.DictReader((tmp_path / "out" / "mentions.csv").read_text().splitlines()))
    measured = [row for row in rows if row["status"] == "measured"]
    assert grounding["words"] == {"measured": len(measured), "no box": len(rows) - len(measured), "outside crop": 0}
    for name in ("pointing", "mass", "iou"):
        for who in ("model", "chance", "centre"):
            figure = grounding["measures"][who][name]  # type: ignore[index]
            assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
        mean = sum(float(row[name]) for row in measured) / len(measured)
        assert grounding["measures"]["model"][name]["value"] == pytest.approx(mean, abs=1e-4)  # type: ignore[index]
    assert faithful["words"] == min(6, len(measured))
    assert len(faithful["curves"]["deletion"]["alpha"]) == 11  # type: ignore[index]
    assert all(row["caption"].split()[int(row["position"])] == row["word"] for row in rows)


def test_pointing_with_misses_equals_the_demo_s_pointing(model: Path, shapes: Path, tmp_path: Path) -> None:
    written = ground(model, shapes, tmp_path, "--split", "train", "--faithfulness", 0)
    captions = caption_all(Captioner.from_pretrained(model, "cpu"), read_captions(shapes).split("train"))
    assert written["grounding"]["pointing_with_misses"] == pytest.approx(compare_with_scenes(captions, read_scenes(shapes)).pointing)
    assert set(written) == {"grounding"}


def test_another_seed_draws_other_words(model: Path, shapes: Path, tmp_path: Path) -> None:
    areas = [
        ground(model, shapes, tmp_path / str(seed), "--split", "train", "--faithfulness", 3, "--seed", seed)["faithfulness"]["areas"]
        for seed in (0, 1)
    ]
    assert areas[0] != areas[1]


def test_the_same_boxes_in_another_format_give_the_same_measures(model: Path, shapes: Path, elsewhere: Path, tmp_path: Path) -> None:
    as_entities(shapes, elsewhere)
    options = ("--captions", "references", "--faithfulness", 4)
    original = ground(model, shapes, tmp_path / "original", *options)
    converted = ground(model, elsewhere, tmp_path / "converted", *options)
    assert original["grounding"]["words"] == {"measured": 2 * 5 * PHOTOS, "no box": 0, "outside crop": 0}
    for who, measures in original["grounding"]["measures"].items():  # type: ignore[attr-defined]
        for name, figure in measures.items():
            assert converted["grounding"]["measures"][who][name] == pytest.approx(figure, abs=1e-6)  # type: ignore[index]
    assert original["faithfulness"]["areas"]["deletion"] == converted["faithfulness"]["areas"]["deletion"]  # type: ignore[index]


def test_coco_s_instances_give_boxes_by_category(model: Path, shapes: Path, elsewhere: Path, tmp_path: Path) -> None:
    as_coco(shapes, elsewhere)
    options = ("--captions", "references", "--faithfulness", 0)
    original = ground(model, shapes, tmp_path / "original", *options)["grounding"]
    converted = ground(model, elsewhere, tmp_path / "converted", *options)["grounding"]
    assert converted["words"] == original["words"]
    # Two circles are one category: either of them counts, so chance hits more often.
    for who in ("model", "chance", "centre"):
        assert converted["measures"][who]["pointing"]["value"] >= original["measures"][who]["pointing"]["value"]  # type: ignore[index]


def test_photos_without_boxes_are_reported_and_the_others_measured(
    model: Path, shapes: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_entities(shapes, elsewhere)
    (elsewhere / "Annotations" / "val_00003.xml").unlink()
    assert main(["ground", "--model", str(model), "--data.root", str(elsewhere), "--captions", "references", "--faithfulness", "0"]) == 1
    printed = capsys.readouterr()
    assert printed.err.count("skipped") == 1
    assert "val_00003.png: no annotation names it" in printed.err
    assert f"{2 * 5 * (PHOTOS - 1)} words in {PHOTOS - 1} photos" in printed.out


def test_boxes_outside_the_crop_are_counted_and_reported(
    model: Path, shapes: Path, elsewhere: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_coco(shapes, elsewhere)
    path = elsewhere / "annotations" / "instances_all.json"
    whole = json.loads(path.read_text())
    for thing in whole["annotations"]:
        if thing["category_id"] == KINDS.index("circle"):
            thing["bbox"] = [0, 0, 7, 128]  # a crop begins at 8 of 128 pixels
    path.write_text(json.dumps(whole))
    cropped = shutil.copytree(model, tmp_path / "cropped")
    config = json.loads((cropped / "config.json").read_text())
    config["preprocessing"]["resize"] = "crop"
    (cropped / "config.json").write_text(json.dumps(config))
    options = ("--captions", "references", "--faithfulness", 0)
    circles = sum(caption.split().count("circle") for photo in read_captions(elsewhere).split("val") for caption in photo.captions)
    assert ground(cropped, elsewhere, tmp_path / "crop", *options)["grounding"]["words"]["outside crop"] == circles > 0  # type: ignore[index]
    assert "name what lies outside what the network sees, such as 'circle' in val_" in capsys.readouterr().out
    assert ground(model, elsewhere, tmp_path / "stretch", *options)["grounding"]["words"]["outside crop"] == 0  # type: ignore[index]


def test_without_boxes_sharpness_and_faithfulness_of_the_nouns_are_measured(
    model: Path, elsewhere: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = ground(model, elsewhere, tmp_path / "out", "--boxes", "none", "--faithfulness", 4, "--captions", "references")
    printed = capsys.readouterr().out
    assert "pointing" not in printed
    assert {"grounding", "faithfulness"} == set(written)
    captions = [caption.split() for photo in read_captions(elsewhere).split("val") for caption in photo.captions]
    nouns = sum(word in (*KINDS, "shapes") for words in captions for word in words)
    assert set(written["grounding"]) == {"sharpness"}
    sharpness: Any = written["grounding"]["sharpness"]
    assert sharpness["classes"]["noun"]["words"] == nouns
    assert 0 <= sharpness["classes"]["noun"]["entropy"]["value"] <= math.log(sharpness["locations"])
    assert written["faithfulness"]["words"] == 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--boxes", "entitys"], "did you mean 'entities'"),
        (["--boxes", "coco"], "holds no boxes of objects"),
        (["--split", "vals"], "the split 'vals' holds no photo"),
        (["--plot", "curves.txt"], "cannot draw a figure as 'curves.txt'"),
        (["--plot", "curves.png", "--faithfulness", "0"], "N is 0: give at least 1"),
        (["--out", "{file}"], "cannot write"),
        (["--attention-mode", "argmax"], "an attention mode is for hard attention"),
        (["--ban", "circle", "--ban", "square", "--ban", "triangle", "--ban", "star", "--ban", "cross"], "nothing to measure"),
    ],
)
def test_ground_refuses_bad_input_with_one_line(
    more: list[str], message: str, model: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    more = [argument.format(file=tmp_path / "file") for argument in more]
    assert main(["ground", "--model", str(model), "--data.root", str(shapes), "--workers", "0", *more]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("showattend: ")
    assert message in error
