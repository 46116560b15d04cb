"""Subwords: what is learnt from captions, how texts come back, and the way from a data set to scores of words."""

import json
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from factories import untrained_model

from showattend.cli.main import main
from showattend.errors import InputError
from showattend.inference import Captioner
from showattend.pretrained import load_pretrained, read_word_tokenizer, save_pretrained
from showattend.vocabulary import SPECIALS, Subwords, Vocabulary, tokenize
from showattend.vocabulary.vocabulary import UNKNOWN

pytest.importorskip("tokenizers")
CAPTIONS = ["A dog runs on the grass.", "Two dogs run, and a dog's ball flies.", "A running dog jumps."] * 4
CHINESE = ["一只红色的狗，在跑。", "一只蓝色的狗在 iPhone 旁边。"] * 4


@pytest.mark.parametrize(("captions", "words"), [(CAPTIONS, "nltk"), (CAPTIONS, "unicode"), (CHINESE, "char")])
def test_texts_come_back_from_subwords_as_the_words_that_scores_count(captions: list[str], words: str) -> None:
    vocabulary = Vocabulary.build_subwords(captions, words, min_count=2)
    assert tuple(vocabulary.tokens[:4]) == SPECIALS
    for caption in captions:
        token_ids = vocabulary.encode(vocabulary.tokenize(caption))
        assert UNKNOWN not in token_ids
        assert vocabulary.decode_words(token_ids) == vocabulary.split_words(caption) == tokenize(caption, words)
        text = vocabulary.join(vocabulary.decode(token_ids))
        assert "▁" not in text
        assert tokenize(text, words) == tokenize(caption, words)


def test_frequent_words_are_one_subword_and_new_words_are_several() -> None:
    vocabulary = Vocabulary.build_subwords(CAPTIONS, "nltk", min_count=2)
    assert vocabulary.tokenize("a dog") == ["▁a", "▁dog"]
    assert len(vocabulary.tokenize("grassrunner")) > 1
    assert vocabulary.tokenize("dog ж") == ["▁dog", "▁", "<unk>"]


def test_the_size_of_the_vocabulary_is_bounded_and_the_same_captions_give_the_same() -> None:
    small = Vocabulary.build_subwords(CAPTIONS, "nltk", max_size=30)
    assert len(small) <= 34
    assert small == Vocabulary.build_subwords(CAPTIONS, "nltk", max_size=30)
    assert small != Vocabulary.build_subwords(CAPTIONS, "nltk", max_size=40)
    assert pickle.loads(pickle.dumps(small)).tokenize("a dog") == small.tokenize("a dog")


def test_without_the_library_a_line_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = Vocabulary.build_subwords(CAPTIONS, "nltk")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(InputError, match=r"pip install 'showattend\[bpe\]'"):
        Vocabulary.build_subwords(CAPTIONS, "nltk")
    assert vocabulary.decode_words([4, 5]), "captions come out without the library"


def test_merges_of_another_vocabulary_are_refused() -> None:
    with pytest.raises(InputError, match="lacks the subword 'xy' of its merges"):
        Vocabulary([*SPECIALS, "x", "y"], "bpe", Subwords("nltk", (("x", "y"),)))


@pytest.fixture(scope="module")
def folder(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a short training on subwords."""
    runs = tmp_path_factory.mktemp("bpe")
    small = "--model.encoder.name tiny --model.encoder.weights none --model.preprocessing.image_size 32 --model.decoder.hidden_size 8"
    trainer = "--trainer.max_epochs 1 --trainer.enable_progress_bar false --trainer.accelerator cpu --trainer.num_sanity_val_steps 0"
    data = f"--data.root {shapes} --data.cache_dir {runs / 'cache'} --data.tokenizer bpe --data.max_words 40 --data.num_workers 0"
    options = f"{small} {trainer} {data} --trainer.enable_model_summary false --runs {runs} --name run"
    assert main(["fit", *options.split()]) == 0
    return runs / "run" / "model"


def test_a_model_of_subwords_is_trained_captions_and_is_scored_by_words(
    folder: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads((folder / "config.json").read_text())["tokenizer"] == "bpe"
    assert read_word_tokenizer(folder) == "nltk"
    captioner = Captioner.from_pretrained(folder, "cpu")
    photo = next((shapes / "images").glob("test_*.png"))
    (score,) = captioner.score(photo, ["a red star is left of a white circle"])
    assert str(score.caption) == "a red star is left of a white circle"
    assert not score.unknown
    assert main(["evaluate", "--model", str(folder), "--data.root", str(shapes), "--split", "test", "--min-length", "3"]) == 0
    assert "tokens:nltk" in capsys.readouterr().out


def test_words_cannot_be_required_of_subwords(folder: Path, shapes: Path, refused: Callable[..., str]) -> None:
    line = refused("caption", shapes / "images" / "test_00000.png", "--model", folder, "--must-include", "dog")
    assert "the model's tokens are subwords" in line


@pytest.mark.parametrize("content", ["{}", '{"words": "x", "merges": []}', '{"words": "nltk", "merges": [["a"]]}', None])
def test_damaged_merges_are_one_line(content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = untrained_model()
    vocabulary = Vocabulary([*SPECIALS, *"abc"], "bpe", Subwords("nltk", ()))
    save_pretrained(type(model)(model.network, vocabulary, model.preprocessing, model.generation), tmp_path / "m")
    assert load_pretrained(tmp_path / "m").vocabulary == vocabulary
    if content is None:
        shutil.move(tmp_path / "m" / "subwords.json", tmp_path / "elsewhere")
    else:
        (tmp_path / "m" / "subwords.json").write_text(content)
        monkeypatch.setattr("showattend.pretrained.loading._unchanged", lambda folder, name, config: folder / name)
    with pytest.raises(InputError, match=r"subwords.json"):
        load_pretrained(tmp_path / "m")
