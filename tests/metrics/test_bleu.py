"""BLEU of known pairs, as nltk and by hand."""

import pytest
from nltk.translate.bleu_score import corpus_bleu

from showattend.errors import InputError
from showattend.metrics import bleu


def score(hypotheses: list[str], references: list[list[str]]) -> list[float]:
    scores = bleu(
        {i: h.split() for i, h in enumerate(hypotheses)},
        {i: [r.split() for r in rs] for i, rs in enumerate(references)},
    )
    return [scores[f"bleu{n}"] for n in range(1, 5)]


def test_bleu_of_one_known_pair() -> None:
    scores = score(["this is a good test"], [["this is a test", "this is also a test"]])
    assert scores == pytest.approx([0.8, 0.632456, 0.510873, 9.03602e-5], rel=1e-5)


def test_bleu1_of_two_known_pairs() -> None:
    references = [
        ["a man speaks", "someone speaks", "a man is speaking while a bird is chirping in the background"],
        ["rain is falling hard on a surface"],
    ]
    assert score(["a man is speaking", "rain falls"], references)[0] == pytest.approx(0.427848, abs=1e-6)


def test_bleu_of_a_corpus_with_known_counts() -> None:
    """A corpus made to have the counts of REFERENCE: matched runs of one to four words between words that match nothing."""
    guessed, correct, lengths = (46456, 41456), (29418, 13584, 5770, 2454), (46456, 46642)
    runs = [4] * correct[3]
    runs += [3] * (correct[2] - correct[3] - len(runs))
    runs += [2] * (correct[1] - correct[2] - len(runs))
    runs += [1] * (correct[0] - correct[1] - len(runs))
    photos = guessed[0] - guessed[1]
    hypotheses: list[list[str]] = [[] for _ in range(photos)]
    references: list[list[str]] = [[] for _ in range(photos)]
    for index, run in enumerate(runs):
        words = [f"same{index}.{i}" for i in range(run)]
        hypotheses[index % photos] += [*words, f"hypothesis{index}"]
        references[index % photos] += [*words, f"reference{index}"]
    spare = sum(map(len, hypotheses)) - lengths[0]
    for hypothesis in hypotheses:
        if spare > 0 and hypothesis[-1].startswith("hypothesis"):
            hypothesis.pop()
            spare -= 1
    for index in range(-spare):
        hypotheses[index % photos].append(f"more{index}")
    missing = lengths[1] - sum(map(len, references))
    for index in range(abs(missing)):
        if missing > 0:
            references[index % photos].append(f"extra{index}")
        else:
            references[index % photos].pop()
    scores = bleu(dict(enumerate(hypotheses)), {i: [r] for i, r in enumerate(references)})
    assert list(scores.values()) == pytest.approx([0.630714, 0.453698, 0.318958, 0.224083], abs=1e-6)


def test_bleu_equals_nltk_s_corpus_bleu() -> None:
    hypotheses = ["a dog runs over the green grass", "two men are on a boat in the water"]
    references = [["a dog runs over the grass", "a brown dog runs over green grass"], ["two men on a boat in the water"]]
    expected = corpus_bleu([[r.split() for r in rs] for rs in references], [h.split() for h in hypotheses])
    assert score(hypotheses, references)[3] == pytest.approx(expected, abs=1e-9)


def test_the_shorter_of_two_equally_near_references_counts() -> None:
    assert score(["a b c d"], [["a b c d e", "a b c"]])[0] == pytest.approx(1.0, abs=1e-6)


def test_bleu_of_an_empty_caption_is_0() -> None:
    assert score([""], [["a dog"]]) == pytest.approx([0.0] * 4)


def test_a_photo_without_references_is_refused() -> None:
    with pytest.raises(InputError, match="2 photos"):
        bleu({1: ["a"], 2: ["b"]}, {1: [["a"]], 3: [["b"]]})
