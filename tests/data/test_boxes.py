"""Readers of boxes, on files written by hand, and boxes on pictures that are turned, stretched and cropped."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from showattend.data.boxes import BOX_READERS, ObjectWord, read_boxes
from showattend.data.boxes.names import category_names, plural
from showattend.data.boxes.readers import ORDER
from showattend.data.captions import Photo, read_captions
from showattend.data.images import photo_size
from showattend.data.shapes import read_scenes
from showattend.data.transforms import Preprocessing
from showattend.errors import InputError
from showattend.geometry import GridGeometry
from showattend.grounding import Mention, summarize
from showattend.grounding.geometry import cell_areas, covered_areas
from showattend.inference import Caption
from showattend.vocabulary import tokenize

XML = """<annotation><filename>1.jpg</filename><size><width>60</width><height>40</height><depth>3</depth></size>
<object><name>11</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>10</xmax><ymax>20</ymax></bndbox></object>
<object><name>11</name><name>12</name><bndbox><xmin>31</xmin><ymin>1</ymin><xmax>60</xmax><ymax>40</ymax></bndbox></object>
<object><name>13</name><scene>1</scene><nobndbox>1</nobndbox></object>
</annotation>"""
SENTENCES = """[/EN#11/people Two young , White dogs] run on [/EN#13/scene the beach] .
[/EN#12/people/animals A dog 's head] is near [/EN#0/notvisual the left] of [/EN#11/animals a dog] .
"""
LEFT, RIGHT = (0.0, 1.0, 10.0, 20.0), (30.0, 0.0, 60.0, 40.0)


def photo(root: Path, name: str = "1.jpg", size: tuple[int, int] = (60, 40), captions: tuple[str, ...] = ()) -> Photo:
    path = root / "images" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)
    return Photo(name, path, captions)


def entities(root: Path, xml: str = XML, sentences: str = SENTENCES, name: str = "1") -> Path:
    for folder, suffix, text in (("Annotations", "xml", xml), ("Sentences", "txt", sentences)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / f"{name}.{suffix}").write_text(text)
    return root


def test_entities_own_captions_name_their_own_entities(tmp_path: Path) -> None:
    one = photo(tmp_path)
    (first, second) = read_boxes(entities(tmp_path), [one]).references(one)
    assert first == (
        ["two", "young", "white", "dogs", "run", "on", "the", "beach"],
        [ObjectWord(3, "dogs", (LEFT, RIGHT)), ObjectWord(7, "beach", ())],
    )
    assert second[0] == ["a", "dog", "'s", "head", "is", "near", "the", "left", "of", "a", "dog"]
    assert second[1] == [ObjectWord(3, "head", (RIGHT,)), ObjectWord(10, "dog", (LEFT, RIGHT))]


def test_entities_words_of_a_generated_caption_name_the_phrases_of_the_photo_s_captions(tmp_path: Path) -> None:
    photos = [photo(tmp_path), photo(tmp_path, "2.jpg")]
    entities(entities(tmp_path / "flickr30k_entities"), XML, "[/EN#12/other A cat] sleeps", name="2")
    boxes = read_boxes(tmp_path, photos)
    words = boxes.object_words(photos[0], ["a", "dog", "and", "a", "cat", "left", "beach"])
    assert words == [ObjectWord(1, "dog", (LEFT, RIGHT)), ObjectWord(4, "cat", ()), ObjectWord(6, "beach", ())]


@pytest.mark.parametrize(
    ("xml", "sentences", "message"),
    [
        ("<annotation>", SENTENCES, "1.xml is no XML of Flickr30k Entities"),
        (XML.replace("<xmin>1</xmin>", ""), SENTENCES, "1.xml is no XML"),
        (XML.replace("60", "wide"), SENTENCES, "1.xml is no XML"),
        (XML, "[/EN#11/people Two dogs run", "1.txt line 1"),
        (XML, "\n", "1.txt holds no caption"),
    ],
)
def test_entities_in_another_format_are_refused(xml: str, sentences: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as refused:
        read_boxes(entities(tmp_path, xml, sentences), [photo(tmp_path)])
    assert "\n" not in str(refused.value)


def instances(root: Path, **changes: object) -> Path:
    names = ("person", "dog", "hot dog", "traffic light", "mouse", "skis", "dog bowl")
    things = [
        {"id": i, "image_id": 7, "category_id": names.index(name), "bbox": bbox, "iscrowd": crowd, "area": 1, "segmentation": []}
        for i, (name, bbox, crowd) in enumerate(
            [("person", [1, 2, 10.5, 20], 0), ("person", [30, 0, 30, 40], 1), ("hot dog", [5, 5, 5, 5], 0), ("skis", [0, 0, 1, 1], 0)]
        )
    ]
    whole = {
        "images": [{"id": 7, "file_name": "1.jpg", "width": 60, "height": 40}],
        "annotations": things,
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
    }
    path = root / "annotations" / "instances_images.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole | changes))
    path.with_name("instances_other.json").write_text("not read, because no photo lies in a folder of this name")
    return root


def test_coco_s_categories_are_named_in_singular_plural_and_by_synonyms(tmp_path: Path) -> None:
    one = photo(tmp_path, captions=("Two men with hot dogs .",))
    boxes = read_boxes(instances(tmp_path), [one])
    people = ((1.0, 2.0, 11.5, 22.0), (30.0, 0.0, 60.0, 40.0))
    caption = "people eat a hot dog near traffic lights while mice watch a ski in dog bowls"
    assert boxes.object_words(one, tokenize(caption)) == [
        ObjectWord(0, "person", people),
        ObjectWord(4, "hot dog", ((5.0, 5.0, 10.0, 10.0),)),
        ObjectWord(7, "traffic light", ()),
        ObjectWord(9, "mouse", ()),
        ObjectWord(12, "skis", ((0.0, 0.0, 1.0, 1.0),)),
        ObjectWord(15, "dog bowl", ()),
    ]
    assert boxes.references(one) == [
        (["two", "men", "with", "hot", "dogs"], [ObjectWord(1, "person", people), ObjectWord(4, "hot dog", ((5, 5, 10, 10),))])
    ]


def test_boxes_are_found_as_deep_as_captions_are(tmp_path: Path) -> None:
    one = photo(tmp_path, captions=("Two men .",))
    instances(tmp_path / "download" / "annotations_trainval2017")
    assert read_boxes(tmp_path, [one]).object_words(one, ["man"])[0].noun == "person"
    instances(tmp_path / "download", annotations=[], categories=[{"id": 0, "name": "dog"}])
    assert not read_boxes(tmp_path, [one]).object_words(one, ["man"]), "the nearest folder is read"


@pytest.mark.parametrize("name", BOX_READERS.names())
def test_every_reader_of_boxes_says_how_it_is_recognised(name: str) -> None:
    assert name in ORDER
    assert BOX_READERS.find(name).signs


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        (None, "annotations[0]: expected object, got null"),
        ({"image_id": 7, "category_id": 0, "bbox": [1, 2, 3]}, "annotations[0].bbox: expected array of length 4, got 3"),
        ({"image_id": 7, "category_id": 0, "bbox": [1, 2, 3, float("nan")]}, "is not finite"),
        ({"image_id": 7, "category_id": 99, "bbox": [1, 2, 3, 4]}, "annotations[0].category_id: no category has the id 99"),
    ],
)
def test_coco_box_errors_name_record_and_field(instance: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read_boxes(instances(tmp_path, annotations=[instance]), [photo(tmp_path)])
    assert message in str(refused.value)


@pytest.mark.parametrize("changes", [{"categories": []}, {"annotations": [{"id": 1, "image_id": 7}]}, {"images": [{"id": 7}]}])
def test_coco_in_another_format_is_refused(changes: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="COCO's format") as refused:
        read_boxes(instances(tmp_path, **changes), [photo(tmp_path)])
    assert "\n" not in str(refused.value)


def test_plurals_as_people_write_them() -> None:
    plurals = {
        "bus": "buses",
        "knife": "knives",
        "sheep": "sheep",
        "scissors": "scissors",
        "couch": "couches",
        "wine glass": "wine glasses",
    }
    plurals |= {
        "toothbrush": "toothbrushes",
        "mouse": "mice",
        "person": "people",
        "toy": "toys",
        "teddy bear": "teddy bears",
        "box": "boxes",
    }
    assert {name: plural(name) for name in plurals} == plurals
    assert category_names(["dog", "hot dog"])[("hotdogs",)] == "hot dog"
    assert category_names(["sports ball", "ball"])[("ball",)] == "ball", "a category's own name goes before synonyms"
    assert "man" not in {word for name in category_names(["dog"]) for word in name}, "synonyms are of the categories in the file only"


def test_shapes_are_named_by_nouns_whose_adjectives_are_true(shapes: Path) -> None:
    photos = read_captions(shapes).split("val")
    boxes = read_boxes(shapes, photos)
    truth = {image["filename"]: image["sentences"] for image in json.loads((shapes / "dataset_shapes.json").read_text())["images"]}
    for one in photos:
        assert boxes.problem(one) is None
        for (words, named), sentence in zip(boxes.references(one), truth[one.path.name], strict=True):
            assert words == sentence["tokens"]
            phrases = [(phrase["last"] - 1, pytest.approx(phrase["box"])) for phrase in sentence["phrases"]]
            assert [(word.position, word.boxes[0]) for word in named] == phrases
    one = photos[0]
    shape = read_scenes(shapes)[one.path.name].shapes[0]
    assert boxes.object_words(one, ["a", "pink", shape.kind]) == [ObjectWord(2, shape.kind, ())]


def test_folders_without_boxes_and_unknown_kinds_are_refused(tmp_path: Path) -> None:
    one = photo(tmp_path)
    with pytest.raises(InputError, match=r"holds no boxes of objects: looked for shapes .*entities .*coco"):
        read_boxes(tmp_path, [one])
    with pytest.raises(InputError, match=r"looked for coco \(annotations/instances"):
        read_boxes(entities(tmp_path), [one], "coco")
    with pytest.raises(InputError, match="did you mean 'coco'"):
        read_boxes(tmp_path, [one], "cocoa")
    (tmp_path / "dataset_shapes.json").write_text('{"images": [{"filename": "a.png"}]}')
    with pytest.raises(InputError, match="holds no scenes of shapes"):
        read_boxes(tmp_path, [one], "shapes")


STORED = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}
BOX = (61, 45, 103, 82)  # not in the middle of 157 x 111, and of which a crop sees all


def turned(path: Path, orientation: int, box: tuple[int, int, int, int] = BOX) -> Path:
    """A white rectangle on a black photo of odd size, 157 x 111 as it is displayed, as a camera held that way stores it."""
    image = Image.new("RGB", (157, 111), "black")
    image.paste("white", box)
    if orientation in STORED:
        image = image.transpose(Image.Transpose[STORED[orientation]])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(path, exif=exif)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("resize", ["stretch", "crop"])
@pytest.mark.parametrize("first", [4.0, 0.5])
def test_the_rectangle_lies_in_the_network_s_pixels_where_its_box_is(orientation: int, resize: str, first: float, tmp_path: Path) -> None:
    """The brightness of each cell of the network's square equals the share that the box covers, and alpha on the box scores."""
    path = turned(tmp_path / "photo.png", orientation)
    assert photo_size(path) == (157, 111)
    pixels, size = Preprocessing(128, resize).load(path)
    crop_box = Preprocessing(128, resize).crop_box(*size)
    grid_box = GridGeometry(first, 8.0).grid_box((16, 16), 128, crop_box)
    edges = np.concatenate([[0], np.arange(1, 16) * 8 + first - 4, [128]])
    # Pixels cut into halves, for cells that begin in the middle of a pixel.
    fine = np.kron(pixels[0].numpy() / 255, np.ones((2, 2)))
    cells = [slice(int(2 * begin), int(2 * end)) for begin, end in itertools.pairwise(edges)]
    bright = np.array([[fine[down, across].mean() for across in cells] for down in cells])
    caption = Caption(["word"], 0.0, torch.from_numpy(bright.reshape(1, -1)), (16, 16), crop_box, grid_box)
    box = tuple(map(float, BOX))
    shares = covered_areas(caption, [box]) / cell_areas(caption)  # type: ignore[list-item]
    assert shares == pytest.approx(bright.ravel(), abs=0.06)
    values = summarize([Mention(Photo("x", path, ()), caption, ObjectWord(0, "word", (box,)))]).values  # type: ignore[arg-type]
    assert values[0, 0] == 1.0
    assert values[0, 1] > 0.8
    assert values[0, 2] > 0.7  # cells cannot follow the edges


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_boxes_of_another_size_than_the_upright_photo_s_are_not_used(orientation: int, tmp_path: Path) -> None:
    one = photo(tmp_path, "1.png")
    turned(one.path, orientation)
    for size, usable in (((157, 111), True), ((111, 157), False), ((60, 40), False)):
        instances(tmp_path, images=[{"id": 7, "file_name": "1.png", "width": size[0], "height": size[1]}])
        missing = read_boxes(tmp_path, [one]).problem(one)
        assert (missing is None) is usable
        assert usable or f"boxes are for {size[0]} x {size[1]} pixels, and upright it has 157 x 111" in str(missing)


def test_photos_without_annotation_and_broken_ones_are_named(tmp_path: Path) -> None:
    known, unknown = photo(tmp_path), photo(tmp_path, "2.jpg")
    boxes = read_boxes(entities(tmp_path), [known, unknown])
    assert boxes.problem(known) is None
    assert "2.jpg: no annotation names it" in str(boxes.problem(unknown))
    known.path.write_bytes(b"x")
    assert "not a picture" in str(boxes.problem(known))
