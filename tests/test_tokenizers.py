"""Tokenisers: sentences, scripts, and what `auto` chooses; tests/cli/test_shapes.py trains models of other languages."""

import pytest
import torch

from showattend.errors import InputError
from showattend.inference import Caption
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
        ("\ufeffa dog\ufeff", "a dog", "a dog"),
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


@pytest.mark.parametrize("caption", ["ឆ្កែរត់។", "ခွေးပြေးနေသည်။", "ཁྱི་རྒྱུག།"])
def test_marks_of_scripts_without_spaces_are_no_tokens(caption: str) -> None:
    assert not set("។။་།") & set(tokenize(caption, "char"))


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_no_token_is_punctuation_or_empty(tokenizer: str) -> None:
    for token in tokenize("A dog. ¿Qué? ، ؟ 。「犬」 — … “x” ' - _ a_b", tokenizer):
        assert token
        assert any(map(str.isalnum, token))


def test_a_caption_of_characters_is_written_without_spaces() -> None:
    box = (0.0, 0.0, 1.0, 1.0)
    assert str(Caption(["一", "只"], 0.0, torch.ones(2, 1), (1, 1), box, box, tokenizer="char")) == "一只"
