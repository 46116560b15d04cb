"""Generation options of the command line change the captions as they should; contradictory ones are refused before any work."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from factories import rewrite_vocabulary

from showattend import Captioner
from showattend.cli.main import main
from showattend.decoding import GenerationConfig
from showattend.pretrained import load_pretrained

Run = Callable[..., list[list[str]]]


@pytest.fixture
def run_caption(model: Path, shapes: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """A function that captions the test photos with options and returns the fields of each line."""

    def caption(*options: object) -> list[list[str]]:
        assert main(["caption", str(shapes / "images" / "test*"), "--model", str(model), *map(str, options)]) == 0
        return [line.split("\t") for line in capsys.readouterr().out.splitlines()]

    return caption


def by_photo(lines: list[list[str]]) -> dict[str, list[tuple[float, str]]]:
    captions: dict[str, list[tuple[float, str]]] = {}
    for photo, score, text in lines:
        captions.setdefault(photo, []).append((float(score), text))
    return captions


def test_several_captions_of_a_photo_come_best_first_with_their_scores(run_caption: Run, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("all.json", "all.csv", "best.json")]
    captions_by_photo = by_photo(run_caption("--num-captions", 4, "--json", files[0], "--csv", files[1], "--coco", files[2]))
    best = [text for _, text in run_caption("--beam", 4)]
    assert [captions[0][1] for captions in captions_by_photo.values()] == best
    for captions in captions_by_photo.values():
        assert len({text for _, text in captions}) == 4
        assert captions == sorted(captions, key=lambda caption: -caption[0])
    rows = json.loads(files[0].read_text())
    assert [(row["file"], row["rank"], row["caption"]) for row in rows] == [
        (photo, rank, text) for photo, captions in captions_by_photo.items() for rank, (_, text) in enumerate(captions, 1)
    ]
    with files[1].open(newline="") as file:
        assert [(row["caption"], row["rank"]) for row in csv.DictReader(file)] == [(row["caption"], str(row["rank"])) for row in rows]
    assert [row["caption"] for row in json.loads(files[2].read_text())] == best


def test_required_words_occur_and_banned_words_do_not(run_caption: Run) -> None:
    captions = [text.split() for _, text in run_caption("--must-include", "Large star", "--ban", "a", "--ban", "notaword")]
    assert all({"large", "star"} <= set(words) and "a" not in words for words in captions)


def test_min_length_max_length_and_no_repeat_ngram_hold(run_caption: Run) -> None:
    for _, text in run_caption("--min-length", 12, "--no-repeat-ngram", 1, "--max-length", 14):
        words = text.split()
        assert 12 <= len(words) <= 14
        assert len(set(words)) == len(words)


def test_groups_of_beams_use_more_different_words(run_caption: Run) -> None:
    def words(*options: object) -> int:
        return sum(
            len({word for _, text in captions for word in text.split()})
            for captions in by_photo(run_caption("--num-captions", 4, *options)).values()
        )

    assert words("--groups", 4, "--diversity", 5) > words()


def test_samples_depend_only_on_the_seed_and_the_photo(run_caption: Run) -> None:
    sampling = ("--sample", "--num-captions", 2, "--temperature", 1.5)
    first = run_caption(*sampling, "--seed", 1)
    assert run_caption(*sampling, "--seed", 1, "--batch-size", 3) == first
    assert run_caption(*sampling, "--seed", 2) != first
    greedy = run_caption("--beam", 1)
    assert run_caption("--sample", "--top-k", 1) == greedy
    assert run_caption("--sample", "--top-p", 0.0001) == greedy


def test_consensus_takes_one_of_the_captions_of_the_beams_whatever_the_batch(run_caption: Run) -> None:
    found = by_photo(run_caption("--num-captions", 4))
    chosen = run_caption("--beam", 4, "--consensus")
    assert run_caption("--beam", 4, "--consensus", "--batch-size", 3) == chosen
    assert all(text in [caption for _, caption in found[photo]] for photo, text in chosen)


def test_an_ensemble_of_copies_equals_the_model(run_caption: Run, model: Path, shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = run_caption()
    assert run_caption("--ensemble", model, model) == alone
    assert main(["caption", str(shapes / "images" / "test*"), "--ensemble", str(model)]) == 0
    assert [line.split("\t") for line in capsys.readouterr().out.splitlines()] == alone
    assert main(["evaluate", "--ensemble", str(model), str(model), "--data.root", str(shapes)]) == 0
    ensemble = capsys.readouterr().out
    assert main(["evaluate", "--model", str(model), "--data.root", str(shapes)]) == 0
    assert ensemble.splitlines()[2:] == capsys.readouterr().out.splitlines()[2:]


def test_an_ensemble_of_two_models_differs_from_the_first(model: Path, shapes: Path) -> None:
    """The second model has the negated output bias."""
    one, two = load_pretrained(model), load_pretrained(model)
    two.network.decoder.output.bias.mul_(-1)
    photo = min((shapes / "images").glob("test*"))
    config = GenerationConfig(beam=1, max_length=1)  # the probability of one word
    scores = [Captioner(one).caption(photo, config), Captioner(one, ensemble=[two]).caption(photo, config)]
    assert scores[0].score != pytest.approx(scores[1].score, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sample", "--beam", "3"), "a beam of 3"),
        (("--top-k", "3"), "give sample"),
        (("--seed", "3"), "give sample"),
        (("--must-include", "zebra"), "'zebra'"),
        (("--must-include", "star", "--ban", "star"), "banned"),
        (("--must-include", "star", "--groups", "2"), "must_include and groups"),
        (("--must-include", "star", "--sample"), "leave out sample"),
        (("--must-include", "star", "--mutual-information", "0.1"), "must_include and mutual_information"),
        (("--mutual-information", "0.1", "--sample"), "leave out sample"),
        (("--mutual-information", "-0.1"), "mutual_information is -0.1"),
        (("--mutual-information", "0.1", "--beam", "1"), "give a beam of 5"),
        (("--mutual-information", "0.1", "--groups", "2"), "leave out groups"),
        (("--consensus", "--sample"), "leave out sample"),
        (("--consensus", "--beam", "1"), "give a beam of 5"),
        (("--consensus", "--mutual-information", "0.1"), "mutual_information and consensus rank captions"),
        (("--num-captions", "4", "--beam", "3"), "give a beam of 4"),
        (("--diversity", "1"), "--groups"),
        (("--groups", "2", "--beam", "3"), "groups"),
        (("--groups", "0"), "groups is 0"),
        (("--min-length", "40"), "min_length"),
        (("--temperature", "0", "--sample"), "temperature"),
    ],
)
def test_contradictory_options_end_with_one_line_and_no_output(
    options: tuple[str, ...], message: str, model: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert main(["caption", str(shapes / "images"), "--model", str(model), "--json", str(out), *options]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.startswith("showattend: ")
    assert output.err.count("\n") == 1
    assert not output.out
    assert not out.exists()


def test_models_that_cannot_form_an_ensemble_are_refused(
    model: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(model, tmp_path / "other")
    words = json.loads((other / "vocabulary.json").read_text())
    rewrite_vocabulary(other, [*words[:4], *reversed(words[4:])])
    smaller = shutil.copytree(model, tmp_path / "smaller")
    config = json.loads((smaller / "config.json").read_text())
    config["preprocessing"]["image_size"] //= 2
    (smaller / "config.json").write_text(json.dumps(config))
    for folders, message in (
        ((other,), "vocabularies"),
        ((smaller,), "differ in preprocessing"),
        ((tmp_path / "none",), "no model folder"),
    ):
        assert main(["caption", str(shapes / "images"), "--model", str(model), "--ensemble", *map(str, folders)]) == 2
        assert message in capsys.readouterr().err
    assert main(["caption", str(shapes / "images")]) == 2
    assert "--ensemble" in capsys.readouterr().err
