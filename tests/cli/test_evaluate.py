"""`showattend evaluate --results`: anybody's captions against references from a file, with no model and no photo."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from showattend.cli import evaluate
from showattend.cli.main import main
from showattend.data.captions import read_captions

CAPTIONS = {391895: "a man is speaking", 42: "rain falls"}
REFERENCES = {
    391895: ["a man speaks", "someone speaks", "a man is speaking while a bird is chirping in the background"],
    42: ["rain is falling hard on a surface"],
}
# What coco-caption's own code gives for these two.
KNOWN = {"bleu1": 0.427848, "rouge_l": 0.487069, "cider_d": 0.961355}
CIDER_D = {391895: 1.364055, 42: 0.558655}


def file_name(photo: int) -> str:
    return f"COCO_val2014_{photo:012}.jpg"


def coco(path: Path) -> Path:
    images = [{"id": photo, "file_name": file_name(photo)} for photo in REFERENCES]
    captions = [{"image_id": photo, "caption": text} for photo, texts in REFERENCES.items() for text in texts]
    path.write_text(json.dumps({"images": images, "annotations": [{"id": number, **row} for number, row in enumerate(captions)]}))
    return path


def karpathy(path: Path) -> Path:
    images = [
        {"filename": file_name(photo), "cocoid": photo, "split": "val", "sentences": [{"raw": text} for text in texts]}
        for photo, texts in REFERENCES.items()
    ]
    other = {"filename": "other.jpg", "cocoid": 1, "split": "test", "sentences": [{"raw": "a dog"}]}
    path.write_text(json.dumps({"images": [*images, other]}))
    return path


def tokens(path: Path) -> Path:
    path.write_text("".join(f"{file_name(photo)}#{n}\t{text} .\n" for photo, texts in REFERENCES.items() for n, text in enumerate(texts)))
    return path


def table(path: Path) -> Path:
    path.write_text("image,caption\n" + "".join(f'{file_name(photo)},"{text}"\n' for photo, texts in REFERENCES.items() for text in texts))
    return path


def results(path: Path, rows: list[tuple[int | str, str]]) -> Path:
    path.write_text(json.dumps([{"image_id": photo, "caption": text} for photo, text in rows]))
    return path


@pytest.fixture
def references(tmp_path: Path) -> Path:
    return coco(tmp_path / "captions_val2014.json")


def read_metrics(tmp_path: Path) -> dict[str, object]:
    values: dict[str, object] = json.loads((tmp_path / "out" / "metrics.json").read_text())
    return values


@pytest.mark.parametrize("write", [coco, karpathy, tokens, table])
@pytest.mark.parametrize("call", [int, str, file_name])
def test_known_scores_in_every_format_of_references_and_ids(
    write: object, call: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(write)
    assert callable(call)
    path = write(tmp_path / "references")
    captions = results(tmp_path / "captions.json", [(call(photo), text) for photo, text in CAPTIONS.items()])
    line = ["evaluate", "--results", str(captions), "--references", str(path), "--out", str(tmp_path / "out")]
    if write in (tokens, table) and call is not file_name:
        assert main(line) == 2
        error = capsys.readouterr().err
        assert repr(call(391895)) in error
        assert repr(file_name(391895)) in error
        return
    assert main(line) == 0
    values = read_metrics(tmp_path)
    assert {name: values[name] for name in KNOWN} == pytest.approx(KNOWN, abs=1e-6)
    printed = capsys.readouterr()
    exact = int if write in (coco, karpathy) else file_name
    assert ("looked up" in printed.err) == (call is not exact)
    assert "photos:2/2|references:4|tokens:ptb|ties:shorter" in printed.out
    assert str(values["signature"]) in printed.out
    # a man is speaking, rain falls; of each photo's first reference the words differ too, and none is said twice
    words = len({word for texts in REFERENCES.values() for word in texts[0].split()})
    assert values["diversity"] == {"words": 6, "repeated": 0.0, "references": {"words": words, "repeated": 0.0}}
    assert f"6 different words (one person's captions of these photos: {words})" in printed.out
    with (tmp_path / "out" / "photos.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["cider_d"]) for row in rows] == pytest.approx(list(CIDER_D.values()), abs=2e-6)
    assert [(row["caption"], row["words"]) for row in rows] == [("a man is speaking", "4"), ("rain falls", "2")]


def test_all_scores_of_a_known_pair(tmp_path: Path) -> None:
    (tmp_path / "refs.csv").write_text("image,caption\n1.jpg,this is a test\n1.jpg,this is also a test\n")
    captions = results(tmp_path / "captions.json", [("1.jpg", "this is a good test")])
    line = ["evaluate", "--results", str(captions), "--references", str(tmp_path / "refs.csv"), "--out", str(tmp_path / "out")]
    assert main(line) == 0
    expected = {"bleu1": 0.8, "bleu2": 0.632456, "bleu3": 0.510873, "bleu4": 9.03602e-5, "rouge_l": 0.907063}
    values = read_metrics(tmp_path)
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-6, abs=5e-7)


def test_cider_d_of_one_photo_is_not_defined_without_the_frequencies_of_a_larger_corpus(
    references: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    captions = results(tmp_path / "captions.json", [(391895, CAPTIONS[391895])])
    line = ["evaluate", "--results", str(captions), "--references", str(references), "--out", str(tmp_path / "out")]
    assert main([*line, "--report", str(tmp_path / "r.html")]) == 1, "the other photo has no caption"
    printed = capsys.readouterr()
    assert "CIDEr-D not defined" in printed.out
    assert "CIDEr-D is not defined for 1 photo" in printed.err
    assert read_metrics(tmp_path)["cider_d"] is None
    assert "not defined" in (tmp_path / "r.html").read_text()
    idf = tmp_path / "idf.json"
    assert main(["idf", str(idf), "--references", str(references)]) == 0
    assert "n-grams of 2 photos" in capsys.readouterr().out
    assert main([*line, "--idf", str(idf)]) == 1
    assert read_metrics(tmp_path)["cider_d"] == pytest.approx(CIDER_D[391895], abs=1e-6)
    assert "|idf:2 photos," in capsys.readouterr().out
    assert "give --tokenizer ptb" in refused(*line, "--idf", idf, "--tokenizer", "nltk")
    for content in ('{"photos": 2}', '{"tokenizer": "ptb", "photos": 2, "frequencies": {"a": 3}}', "[]"):
        idf.write_text(content)
        assert str(idf) in refused(*line, "--idf", idf)


PROBLEMS = {
    "missing": ([(42, "rain falls")], "has no caption for 1 photos, such as 391895", "photos:1/2"),
    "double": ([*CAPTIONS.items(), (42, "snow")], "has several captions for 1 photos, such as 42", "photos:2/2"),
    "unknown": ([*CAPTIONS.items(), (7, "snow"), (8, "hail")], "without references for 2 photos, such as 7, 8", "photos:2/2"),
    "empty": ([(391895, "a man is speaking"), (42, " .")], "has a caption without a word for 1 photos, such as 42", "photos:2/2"),
}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_problems_of_results_are_reported_and_refused_with_strict(
    kind: str, references: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, named, photos = PROBLEMS[kind]
    line = ["evaluate", "--results", str(results(tmp_path / "captions.json", rows)), "--references", str(references)]
    line += ["--out", str(tmp_path / "out")]
    assert main([*line, "--strict"]) == 2
    refused = capsys.readouterr()
    assert named in refused.err
    assert f"not sound: {kind}" in refused.err
    assert "BLEU" not in refused.out
    assert not (tmp_path / "out").exists()
    assert main(line) == 1
    scored = capsys.readouterr()
    assert named in scored.err
    assert photos in scored.out
    assert named in str(read_metrics(tmp_path)["problems"])


def test_the_table_of_flickr30k_is_read(tmp_path: Path) -> None:
    rows = "".join(f"{photo}.jpg| {n}| {text} .\n" for photo, texts in REFERENCES.items() for n, text in enumerate(texts))
    (tmp_path / "results.csv").write_text("image_name| comment_number| comment\n" + rows)
    captions = results(tmp_path / "captions.json", [(f"{photo}.jpg", text) for photo, text in CAPTIONS.items()])
    line = ["evaluate", "--results", str(captions), "--references", str(tmp_path / "results.csv"), "--out", str(tmp_path / "out")]
    assert main(line) == 0
    assert read_metrics(tmp_path)["cider_d"] == pytest.approx(KNOWN["cider_d"], abs=1e-6)


def test_the_first_of_two_captions_counts_and_an_empty_one_scores_nothing(references: Path, tmp_path: Path) -> None:
    line = ["evaluate", "--references", str(references), "--out", str(tmp_path / "out"), "--results"]
    captions = results(tmp_path / "captions.json", [*CAPTIONS.items(), (42, "snow")])
    assert main([*line, str(captions)]) == 1
    assert read_metrics(tmp_path)["cider_d"] == pytest.approx(KNOWN["cider_d"], abs=1e-6)
    captions = results(tmp_path / "captions.json", [(391895, CAPTIONS[391895]), (42, "")])
    assert main([*line, str(captions)]) == 1
    assert read_metrics(tmp_path)["cider_d"] == pytest.approx(CIDER_D[391895] / 2, abs=1e-6)


def test_splits_are_those_that_the_file_names(references: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = karpathy(tmp_path / "dataset.json")
    one = results(tmp_path / "one.json", [(1, "a dog")])
    assert main(["evaluate", "--results", str(one), "--references", str(named), "--split", "test"]) == 0
    assert "photos:1/1" in capsys.readouterr().out
    for path, split, error in ((named, "train", "choose from val, test"), (references, "val", "names no splits")):
        assert main(["evaluate", "--results", str(one), "--references", str(path), "--split", split]) == 2
        assert error in capsys.readouterr().err


def test_systems_are_compared_without_a_model(references: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    captions = results(tmp_path / "captions.json", list(CAPTIONS.items()))
    line = ["evaluate", "--results", str(captions), "--references", str(references), "--compare"]
    assert main([*line, str(captions)]) == 0
    assert capsys.readouterr().out.count("p 1.000") == 6
    assert main([*line, str(results(tmp_path / "silent.json", [(391895, ""), (42, "rain")]))]) == 0
    assert "silent.json has a caption without a word for 1 photos" in capsys.readouterr().err
    assert main([*line, str(results(tmp_path / "part.json", [(42, "rain")]))]) == 2
    assert "has no caption for 1 photos" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--results", "R", "--references", "F", "--model", "M"), "captions already"),
        (("--results", "R", "--references", "F", "--ensemble", "M"), "captions already"),
        (("--results", "R", "--references", "F", "--consensus", "--length-penalty", "0"), "leave out --length-penalty, --consensus"),
        (("--references", "F", "--model", "M"), "a model needs photos"),
        (("--results", "R"), "give --data.root"),
        (("--results", "R", "--references", "F", "--data.root", "D"), "leave out one"),
        (("--results", "R", "--references", "F", "--tokenizer", "ptbb"), "did you mean 'ptb'"),
        (("--results", "R", "--references", "R"), "no photo with a caption"),
        (("--results", "F", "--references", "F"), "no list of image_id and caption"),
        (("--results", "none", "--references", "F"), "cannot read"),
        (("--results", "broken", "--references", "F"), "no JSON"),
        (("--results", "R", "--references", "F", "--beam", "5"), "leave out --beam"),
        (("--results", "R", "--references", "F", "--seed", "0"), "leave out --seed"),
        (("--results", "R", "--references", "F", "--spice-models", "none"), "give --official spice"),
        (("--results", "R", "--references", "F", "--official", "spise"), "did you mean 'spice'"),
        (("--results", "true", "--references", "F"), "image_id: expected int | str, got bool"),
        (("--results", "R", "--references", "unlisted"), "captions of 1 photos that its images do not list, such as 7"),
        (("--results", "R", "--references", "F", "--ban", "dog", "--sample"), "leave out --sample, --ban"),
        (("--results", "R", "--references", "none"), "cannot read"),
        (("--results", "bad", "--references", "F"), "[0].caption: expected str, got null"),
        (("--results", "R", "--references", "broken"), "no JSON"),
        (("--results", "R", "--references", "twice"), "listed twice"),
        (("--results", "R", "--references", "silent"), "no photo with a caption"),
    ],
)
def test_contradictions_and_broken_files_are_one_line(
    options: tuple[str, ...], named: str, references: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results(tmp_path / "R", list(CAPTIONS.items()))
    (tmp_path / "F").write_bytes(references.read_bytes())
    (tmp_path / "bad").write_text('[{"image_id": 42, "caption": null}]')
    (tmp_path / "broken").write_text("{")
    (tmp_path / "true").write_text('[{"image_id": true, "caption": "a dog"}]')
    row = {"id": 1, "image_id": 7, "caption": "a dog"}
    (tmp_path / "unlisted").write_text(json.dumps({"images": [{"id": 42, "file_name": "42.jpg"}], "annotations": [row]}))
    image = {"filename": "a.jpg", "split": "val", "sentences": [{"raw": "a dog"}]}
    (tmp_path / "twice").write_text(json.dumps({"images": [image, image]}))
    (tmp_path / "silent").write_text(json.dumps({"images": [image | {"sentences": []}]}))
    line = [
        option if option.startswith("--") or option in ("ptbb", "5", "0", "dog", "spise") else str(tmp_path / option) for option in options
    ]
    assert main(["evaluate", *line]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error


def test_a_photo_that_the_model_cannot_read_is_missing(
    model: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shapes, tmp_path / "shapes")
    broken = read_captions(tmp_path / "shapes").split("val")[3].path
    broken.write_bytes(b"no picture")
    line = ["evaluate", "--model", str(model), "--data.root", str(tmp_path / "shapes"), "--out", str(tmp_path / "out")]
    assert main(line) == 1
    printed = capsys.readouterr()
    assert f"the model has no caption for 1 photos, such as '{broken.name}'" in printed.err
    assert "photos:7/8|references:35|tokens:nltk-" in printed.out
    assert "|search:beam 3" in printed.out
    assert main([*line, "--strict"]) == 2
    printed = capsys.readouterr()
    assert "not sound: missing" in printed.err
    assert "BLEU" not in printed.out
    assert len(json.loads((tmp_path / "out" / "results.json").read_text())) == 7


def test_captions_of_another_search_are_not_gone_on_from(model: Path, shapes: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    line = ["evaluate", "--model", str(model), "--data.root", str(shapes), "--split", "test", "--out", str(tmp_path / "out")]
    assert main([*line, "--beam", "1"]) == 0
    assert main([*line, "--beam", "1", "--resume"]) == 0
    assert "another model or search (beam 1, max" in refused(*line, "--beam", 2, "--resume")


def test_captions_of_a_model_are_not_taken_for_those_of_one_that_was_stopped_before_its_first(
    model: Path, shapes: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ["evaluate", "--model", str(model), "--data.root", str(shapes), "--split", "test", "--out", str(tmp_path / "out")]
    assert main([*line, "--beam", "1"]) == 0

    def stop(*arguments: object, **options: object) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("showattend.cli.evaluate._keep", stop)
        assert main([*line, "--beam", "2"]) == 130
    assert "another model or search (beam 1" in refused(*line, "--beam", 2, "--resume")
    assert (tmp_path / "out" / "metrics.json").exists()
    assert main([*line, "--beam", "1", "--resume"]) == 0


def test_a_run_that_is_stopped_after_its_first_caption_is_gone_on_from(
    model: Path, shapes: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ["evaluate", "--model", str(model), "--data.root", str(shapes), "--split", "test", "--out", str(tmp_path / "out")]
    assert main([*line, "--beam", "1"]) == 0
    keep = evaluate._keep

    def stop(*arguments: Any, **options: Any) -> Iterator[tuple[Path, str]]:
        yield next(keep(*arguments, **options))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "_keep", stop)
        assert main([*line, "--beam", "2"]) == 130
    assert not (tmp_path / "out" / "metrics.json").exists()
    assert "another model or search (beam 2" in refused(*line, "--beam", 1, "--resume")
    assert main([*line, "--beam", "2", "--resume"]) == 0
    assert main([*line[:-1], str(tmp_path / "whole"), "--beam", "2"]) == 0
    for name in ("results.json", "source.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    (tmp_path / "out" / "source.json").unlink()
    assert "so their model is not known" in refused(*line, "--beam", 2, "--resume")


def test_a_card_has_the_scores_and_captions_drawn_by_chance(model: Path, shapes: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    card = tmp_path / "README.md"
    line = ["evaluate", "--model", str(model), "--data.root", str(shapes), "--split", "test"]
    assert main([*line, "--out", str(tmp_path / "out"), "--card", str(card)]) == 0
    text, metrics = card.read_text(), read_metrics(tmp_path)
    low, high = metrics["intervals"]["bleu4"]  # type: ignore[index]
    assert f"| BLEU-4 | {metrics['bleu4']:.4f} | {low:.4f} to {high:.4f} |" in text
    assert metrics["signature"] in text  # type: ignore[operator]
    rows = [row.split(" | ") for row in text.partition("drawn at random")[2].splitlines() if row.startswith("| ")][2:]
    captions = {str(row["image_id"]): row["caption"] for row in json.loads((tmp_path / "out" / "results.json").read_text())}
    assert {row[0][2:].replace("\\", ""): row[1] for row in rows} == captions, "eight photos are fewer than twenty: all are shown"
    assert text.startswith((model / "README.md").read_text().partition("| metric")[0])
    results = tmp_path / "out" / "results.json"
    assert "card of one model" in refused("evaluate", "--results", results, "--data.root", shapes, "--split", "test", "--card", card)
    assert "card of one model" in refused(*line, "--ensemble", model, "--card", card)


def test_flickr8k_captions_against_their_own_references(flickr8k: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last caption of each photo of the dev set against all five, from the data set and from its file of tokens alone."""
    photos = read_captions(flickr8k).split("val")
    captions = results(tmp_path / "captions.json", [(photo.id, photo.captions[-1]) for photo in photos])
    line = ["evaluate", "--results", str(captions), "--out", str(tmp_path / "out")]
    assert main([*line, "--data.root", str(flickr8k), "--split", "val"]) == 0
    assert f"photos:{len(photos)}/{len(photos)}|references:{5 * len(photos)}|" in capsys.readouterr().out
    assert read_metrics(tmp_path)["bleu4"] == pytest.approx(1, abs=1e-6)
    assert main([*line, "--references", str(flickr8k / "Flickr8k.token.txt")]) == 1  # the other photos have no result
    assert f"photos:{len(photos)}/" in capsys.readouterr().out
    assert read_metrics(tmp_path)["rouge_l"] == pytest.approx(1, abs=1e-9)
