"""Tokenisers: sentences, scripts, what `auto` chooses, and the way from a data set to a model folder and its captions."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from showattend.cli.main import main
from showattend.errors import InputError
from showattend.inference import Caption, Captioner
from showattend.vocabulary import TOKENIZERS, Vocabulary, choose_tokenizer, join_tokens, tokenize


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("A dog runs. It jumps.", "a dog runs it jumps"),
        ("A dog runs.It jumps .", "a dog runs it jumps"),
        ("A dog runs! It jumps? Yes.", "a dog runs it jumps yes"),
        ('He says "stop." Then he left.', "he says stop then he left"),
        ("A dog runs... It jumps.", "a dog runs it jumps"),
        ("Mr. Smith in the U.S. at 5 p.m. with a St. Bernard .", "mr. smith in the u.s. at 5 p.m. with a st. bernard"),
        ("a ball of 3.5 kg", "a ball of 3.5 kg"),
        ("“Hi”, a dog… ¿Runs?", "hi a dog runs"),
    ],
)
def test_every_sentence_of_an_english_caption_is_split(caption: str, tokens: str) -> None:
    assert tokenize(caption) == tokens.split()


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("كلب، يركض في الحديقة؟", "كلب يركض في الحديقة"),
        ("एक कुत्ता घास पर दौड़ रहा है।", "एक कुत्ता घास पर दौड़ रहा है"),
        ("¿Un perro corre? ¡Sí!", "un perro corre sí"),
        ("Ein Hund läuft über die Straße.", "ein hund läuft über die straße"),
        ("Собака бежит, кошка — спит.", "собака бежит кошка спит"),
        ("개가 잔디밭을 달린다.", "개가 잔디밭을 달린다"),
        ("Ένας σκύλος τρέχει·", "ένας σκύλος τρέχει"),
        ("כלב רץ בפארק.", "כלב רץ בפארק"),
        ("வணக்கம், உலகம்!", "வணக்கம் உலகம்"),
        ("Շունը վազում է։", "շունը վազում է"),
        ("cafe\u0301 noir", "café noir"),
    ],
)
def test_words_of_scripts_with_spaces_keep_their_marks_and_lose_punctuation(caption: str, tokens: str) -> None:
    assert tokenize(caption, "unicode") == tokens.split()


@pytest.mark.parametrize(
    ("caption", "tokens", "text"),
    [
        ("一只红色的狗，在跑。", "一 只 红 色 的 狗 在 跑", "一只红色的狗在跑"),
        ("赤いiPhone 12が２つ、ある。", "赤 い iphone 12 が ２ つ あ る", "赤いiphone 12が２つある"),
        ("สุนัขกำลังวิ่ง", "สุ นั ข กำ ลั ง วิ่ ง", "สุนัขกำลังวิ่ง"),
    ],
)
def test_characters_of_scripts_without_spaces_are_tokens_and_come_back_without_spaces(caption: str, tokens: str, text: str) -> None:
    assert tokenize(caption, "char") == tokens.split()
    assert join_tokens(tokens.split(), "char") == text
    assert tokenize(text, "char") == tokens.split()


@pytest.mark.parametrize(
    ("captions", "tokenizer"),
    [
        (["A dog runs ."] * 40 + ["a café"], "nltk"),
        (["Ein Hund läuft über die Straße ."], "unicode"),
        (["एक कुत्ता", "a dog"], "unicode"),
        (["一只狗", "一只 iPhone"], "char"),
        (["犬が走る"], "char"),
        (["สุนัข"], "char"),
        ([], "nltk"),
    ],
)
def test_auto_chooses_by_the_scripts_of_the_captions(captions: list[str], tokenizer: str) -> None:
    assert choose_tokenizer(captions * 20).tokenizer == tokenizer


def test_an_unknown_tokenizer_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'unicode'"):
        Vocabulary([*["<pad>", "<start>", "<end>", "<unk>"], "a"], "unicod")


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_no_token_is_punctuation_or_empty(tokenizer: str) -> None:
    for token in tokenize("A dog. ¿Qué? ، ؟ 。「犬」 — … “x” ' - _ a_b", tokenizer):
        assert token
        assert any(map(str.isalnum, token))


def test_a_caption_of_characters_is_written_without_spaces() -> None:
    box = (0.0, 0.0, 1.0, 1.0)
    assert str(Caption(["一", "只"], 0.0, torch.ones(2, 1), (1, 1), box, box, tokenizer="char")) == "一只"


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("zh")
    (root / "images").mkdir()
    rows = ["image,caption"]
    for number, color in enumerate(["red", "blue"] * 10):
        Image.new("RGB", (32, 32), color).save(root / "images" / f"{number:02}.png")
        rows += [f"{number:02}.png,一只{'红' if color == 'red' else '蓝'}色的狗，在跑。"] * 2
    (root / "zh.csv").write_text("\n".join(rows), encoding="utf-8")
    small = "--model.encoder.name tiny --model.encoder.weights none --model.preprocessing.image_size 32 --model.decoder.hidden_size 8"
    trainer = "--trainer.max_epochs 2 --trainer.enable_progress_bar false --trainer.accelerator cpu --trainer.num_sanity_val_steps 0"
    places = ["--data.root", str(root), "--runs", str(root / "runs"), "--name", "zh", "--data.cache_dir", str(root / "cache")]
    options = "--data.min_count 1 --data.num_workers 0 --data.batch_size 4 --trainer.enable_model_summary false --seed_everything 1"
    assert main(["fit", *places, *small.split(), *trainer.split(), *options.split()]) == 0
    return root


def test_a_model_of_chinese_is_trained_on_characters_and_its_folder_names_the_tokenizer(chinese: Path) -> None:
    model = chinese / "runs" / "zh" / "model"
    assert set("一只红蓝色的狗在跑") == set(json.loads((model / "vocabulary.json").read_text(encoding="utf-8"))[4:])
    assert json.loads((model / "config.json").read_text())["tokenizer"] == "char"


def test_a_model_of_chinese_captions_scores_and_is_evaluated_by_characters(chinese: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = chinese / "runs" / "zh" / "model"
    captioner = Captioner.from_pretrained(model)
    caption = captioner.caption(chinese / "images" / "00.png")
    assert " " not in str(caption)
    (score,) = captioner.score(chinese / "images" / "00.png", ["一只红色的狗。"])
    assert score.caption.words == list("一只红色的狗")
    assert not score.unknown
    out = ["--out", str(chinese / "out"), "--batch-size", "4"]
    assert main(["evaluate", "--model", str(model), "--data.root", str(chinese), *out]) == 0
    assert "tokens:characters" in capsys.readouterr().out
