"""`showattend shapes` in other languages: written, trained and scored from end to end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from showattend.cli.main import main
from showattend.data.shapes import write_shapes
from showattend.inference import Captioner
from showattend.vocabulary import tokenize

FEW = {"train": 8, "val": 4, "test": 4}
TOKENS = {"de": ("unicode", "unicode-words", "Kreis"), "zh": ("char", "characters", "圆"), "ar": ("unicode", "unicode-words", "دائرة")}


@pytest.mark.parametrize("language", [pytest.param("de", marks=pytest.mark.slow), "zh", "ar"])
def test_a_model_of_another_language_is_trained_and_scored_by_its_tokens(
    language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer, label, _ = TOKENS[language]
    root, model = write_shapes(tmp_path / "shapes", photos=FEW, language=language), tmp_path / "run" / "model"
    small = "--model.encoder.name tiny --model.encoder.weights none --model.preprocessing.image_size 32 --model.decoder.hidden_size 8"
    trainer = "--trainer.max_epochs 1 --trainer.enable_progress_bar false --trainer.accelerator cpu --trainer.num_sanity_val_steps 0"
    data = f"--data.root {root} --data.cache_dir {tmp_path / 'cache'} --data.min_count 1 --data.num_workers 0 --name run --runs {tmp_path}"
    assert main(["fit", *f"{small} {trainer} {data} --trainer.enable_model_summary false".split()]) == 0
    words = set(json.loads((model / "vocabulary.json").read_text(encoding="utf-8"))[4:])
    images = json.loads((root / "dataset_shapes.json").read_text())["images"]
    sentences = [sentence for image in images if image["split"] == "train" for sentence in image["sentences"]]
    assert words == {word for sentence in sentences for word in sentence["tokens"]}
    assert all(tokenize(sentence["raw"], tokenizer) == sentence["tokens"] for sentence in sentences)
    config = json.loads((model / "config.json").read_text())
    assert (config["tokenizer"], config["trained_on"]) == (tokenizer, "shapes")  # a name, for the folder may lie anywhere
    (score,) = Captioner.from_pretrained(model, "cpu").score(root / "images" / "test_00000.png", [sentences[0]["raw"]])
    assert (score.caption.words, score.unknown) == (sentences[0]["tokens"], [])
    out = tmp_path / "out"
    options = ["--model", str(model), "--data.root", str(root), "--split", "test", "--min-length", "4", "--out", str(out)]
    assert main(["evaluate", *options]) == 0
    assert f"tokens:{label}" in capsys.readouterr().out
    for row in json.loads((out / "results.json").read_text()):
        assert set(tokenize(row["caption"], tokenizer)) <= words
        assert (" " in row["caption"]) == (language != "zh")


@pytest.mark.parametrize("language", TOKENS)
def test_the_command_writes_shapes_in_a_language_of_which_ground_knows_no_nouns(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    monkeypatch.setattr("showattend.data.shapes.dataset.PHOTOS", {"train": 6, "val": 1, "test": 1})
    assert main(["shapes", str(tmp_path / "s"), "--language", language]) == 0
    assert TOKENS[language][2] in (tmp_path / "s" / "dataset_shapes.json").read_text().encode().decode("unicode_escape")
    assert "another seed, number or language" in refused("shapes", tmp_path / "s")
    line = refused("ground", "--model", tmp_path / "none", "--data.root", tmp_path / "s")
    assert f"described in '{language}', and nouns are known in English only" in line


def test_an_unknown_language_is_one_line(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "unknown language 'fr'" in refused("shapes", tmp_path / "s", "--language", "fr")
    assert not (tmp_path / "s").exists()
