"""The data set of shapes: reproducible files, true captions, and boxes that contain their shapes."""

import random
from itertools import combinations
from pathlib import Path

import pytest

from showattend.data.captions import read_captions
from showattend.data.shapes import LANGUAGES, describe_scene, parse_caption, read_scenes, write_shapes
from showattend.data.shapes.dataset import INDEX_FILE
from showattend.data.shapes.scene import SIZE, Scene, Shape, draw_scene, neighbours, random_scene, relation
from showattend.errors import InputError

FEW = {"train": 12, "val": 3, "test": 3}
RED = Shape("circle", "red", "large", 30, 60, 19)
BLUE = Shape("square", "blue", "small", 90, 62, 12)
SCENE = Scene((RED, BLUE), (50, 50, 50), "plain")


def scenes(count: int = 300) -> list[Scene]:
    rng = random.Random(1)
    return [random_scene(rng) for _ in range(count)]


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    one, same, other = (write_shapes(tmp_path / name, seed=seed, photos=FEW) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(names) == 19
    assert all((one / name).read_bytes() == (same / name).read_bytes() for name in names)
    assert (one / INDEX_FILE).read_bytes() != (other / INDEX_FILE).read_bytes()


def test_a_folder_that_is_complete_is_left_alone_and_another_one_refused(tmp_path: Path) -> None:
    write_shapes(tmp_path, photos=FEW)
    before = (tmp_path / INDEX_FILE).stat().st_mtime_ns
    write_shapes(tmp_path, photos=FEW)
    assert (tmp_path / INDEX_FILE).stat().st_mtime_ns == before
    with pytest.raises(InputError, match="another seed"):
        write_shapes(tmp_path, seed=5, photos=FEW)
    (tmp_path / INDEX_FILE).unlink()  # as of a run that was stopped
    write_shapes(tmp_path, photos=FEW)
    (tmp_path / INDEX_FILE).rename(tmp_path / "mine.json")
    with pytest.raises(InputError, match="holds other files"):
        write_shapes(tmp_path, photos=FEW)


def test_every_scene_of_a_data_set_is_different(tmp_path: Path) -> None:
    scenes = read_scenes(write_shapes(tmp_path, photos={"train": 60, "val": 20, "test": 20}))
    assert len(set(scenes.values())) == 100


def test_shapes_are_read_like_any_other_data_set_and_every_phrase_has_its_box(shapes: Path) -> None:
    import json

    data = read_captions(shapes)
    assert all(len(set(photo.captions)) == 5 for photo in data.split("train"))
    known = read_scenes(shapes)
    for image in json.loads((shapes / INDEX_FILE).read_text())["images"]:
        for sentence in image["sentences"]:
            assert sentence["phrases"]
            for phrase in sentence["phrases"]:
                article, *_, color, noun = sentence["tokens"][phrase["first"] : phrase["last"]]
                named = next(s for s in known[image["filename"]].shapes if list(s.box) == phrase["box"])
                assert (article, color, noun) == ("a", named.color, named.kind)


def test_scenes_are_of_two_to_four_different_shapes_inside_the_picture_and_apart() -> None:
    for scene in scenes():
        assert 2 <= len(scene.shapes) <= 4
        assert len({(shape.color, shape.kind) for shape in scene.shapes}) == len(scene.shapes)
        for i, one in enumerate(scene.shapes):
            assert min(one.box) >= 0
            assert max(one.box) <= SIZE
            for other in scene.shapes[:i]:
                (l1, u1, r1, b1), (l2, u2, r2, b2) = one.box, other.box
                assert r1 <= l2 or r2 <= l1 or b1 <= u2 or b2 <= u1


def test_a_shape_s_color_is_in_the_middle_of_its_box() -> None:
    from showattend.data.shapes.scene import COLORS

    for scene in scenes(50):
        picture = draw_scene(scene, random.Random(0))
        for shape in scene.shapes:
            assert picture.getpixel((int(shape.x), int(shape.y))) == COLORS[shape.color]


def test_all_captions_of_the_grammar_are_true_and_parsed_back() -> None:
    rng = random.Random(2)
    for scene in scenes():
        for description in describe_scene(scene, rng):
            parsed = parse_caption(description.words, scene)
            assert all(true for _, true in parsed.statements)
            assert [noun.shape for noun in parsed.nouns] == [phrase.shape for phrase in description.phrases]
            assert [noun.position for noun in parsed.nouns] == [phrase.last - 1 for phrase in description.phrases]
            assert all(noun.exists for noun in parsed.nouns)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a red circle left of a blue square", [True] * 5),
        ("a red circle right of a blue square", [True] * 4 + [False]),
        ("we see a blue square right of a red circle", [True] * 5),
        ("a green circle and a blue square", [True, False, True, True]),
        ("a small red circle", [True, True, False]),
        ("two shapes", [True]),
        ("three shapes", [False]),
        ("a white star above a blue square", [False, False, True, True, False]),
        ("of a the", []),
    ],
)
def test_each_statement_of_a_caption_is_true_or_false(caption: str, expected: list[bool]) -> None:
    assert [true for _, true in parse_caption(caption.split(), SCENE).statements] == expected


def test_relations_are_those_of_the_picture_and_reverse_with_the_order() -> None:
    assert (relation(RED, BLUE), relation(BLUE, RED)) == ("left", "right")
    beneath = Shape("star", "white", "small", 32, 100, 12)
    assert (relation(beneath, RED), relation(RED, beneath)) == ("below", "above")


def test_a_neighbour_is_the_nearest_shape_on_its_side() -> None:
    behind = Shape("star", "white", "small", 118, 60, 9)
    beneath = Shape("cross", "green", "small", 33, 110, 12)
    scene = Scene((RED, behind, BLUE, beneath), (50, 50, 50), "plain")
    assert neighbours(RED, scene) == {"left": BLUE, "above": beneath}
    assert neighbours(BLUE, scene)["left"] is behind


def test_shapes_stand_in_a_line_so_that_every_relation_is_clear() -> None:
    lying = 0
    for scene in scenes():
        across = [abs(one.x - other.x) for one, other in combinations(scene.shapes, 2)]
        down = [abs(one.y - other.y) for one, other in combinations(scene.shapes, 2)]
        further, nearer = (across, down) if across[0] > down[0] else (down, across)
        assert all(far > 1.6 * near for far, near in zip(further, nearer, strict=True))
        lying += further is across
    assert 100 < lying < 200, "half of the lines lie, half stand"


def test_one_shape_is_large_and_every_caption_begins_with_it() -> None:
    for scene in scenes(50):
        assert [shape.size for shape in scene.shapes] == ["large"] + ["small"] * (len(scene.shapes) - 1)
        assert all(description.phrases[0].shape is scene.shapes[0] for description in describe_scene(scene, random.Random(0)))


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("de", "ein roter Kreis ist links von einem blauen Quadrat"),
        ("de", "wir sehen einen roten Kreis links von einem kleinen blauen Quadrat"),
        ("de", "zwei Formen mit einem großen roten Kreis links von einem blauen Quadrat"),
        ("zh", "一个红色的圆形在一个蓝色的小正方形的左边"),
        ("zh", "一个蓝色的正方形的左边是一个红色的大圆形"),
        ("ar", "هناك دائرة حمراء كبيرة على يسار مربع أزرق"),
        ("ar", "شكلان مع دائرة حمراء على يسار مربع أزرق صغير"),
    ],
)
def test_scenes_are_described_in_other_languages(language: str, expected: str) -> None:
    rng, spoken = random.Random(0), LANGUAGES[language]
    texts = {spoken.join(description.words) for _ in range(60) for description in describe_scene(SCENE, rng, language=spoken)}
    assert expected in texts


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_noun_phrases_of_every_language_name_their_shapes(language: str) -> None:
    rng, spoken = random.Random(4), LANGUAGES[language]
    for scene in scenes(20):
        for description in describe_scene(scene, rng, language=spoken):
            for first, last, shape in description.phrases:
                phrase = description.words[first:last]
                forms = [spoken.noun_phrase(shape, size, case) for size in (False, True) for case in spoken_cases(language)]
                assert phrase in forms


def spoken_cases(language: str) -> list[str]:
    return ["", "accusative", "dative"] if language == "de" else [""]
