import pytest
from nltk.translate.bleu_score import corpus_bleu

from showattend.errors import InputError
from showattend.metrics import bleu


def score(hypotheses: list[str], references: list[list[str]]) -> list[float]:
    found = bleu(
        {i: h.split() for i, h in enumerate(hypotheses)},
        {i: [r.split() for r in rs] for i, rs in enumerate(references)},
    )
    return [found[f"bleu{n}"] for n in range(1, 5)]


def test_the_known_answer_of_one_pair() -> None:
    found = score(["this is a good test"], [["this is a test", "this is also a test"]])
    assert found == pytest.approx([0.8, 0.632456, 0.510873, 9.03602e-5], rel=1e-5)


def test_the_known_answer_of_two_pairs() -> None:
    references = [
        ["a man speaks", "someone speaks", "a man is speaking while a bird is chirping in the background"],
        ["rain is falling hard on a surface"],
    ]
    assert score(["a man is speaking", "rain falls"], references)[0] == pytest.approx(0.427848, abs=1e-6)


def test_the_known_answer_from_counts() -> None:
    """A corpus made to have the counts of REFERENCE: matched runs of one to four words between words that match nothing."""
    guessed, correct, lengths = (46456, 41456), (29418, 13584, 5770, 2454), (46456, 46642)
    runs = [4] * correct[3]
    runs += [3] * (correct[2] - correct[3] - len(runs))
    runs += [2] * (correct[1] - correct[2] - len(runs))
    runs += [1] * (correct[0] - correct[1] - len(runs))
    photos = guessed[0] - guessed[1]
    hypotheses: list[list[str]] = [[] for _ in range(photos)]
    references: list[list[str]] = [[] for _ in range(photos)]
    for number, run in enumerate(runs):
        words = [f"same{number}.{i}" for i in range(run)]
        hypotheses[number % photos] += [*words, f"mine{number}"]
        references[number % photos] += [*words, f"theirs{number}"]
    spare = sum(map(len, hypotheses)) - lengths[0]
    for hypothesis in hypotheses:
        if spare > 0 and hypothesis[-1].startswith("mine"):
            hypothesis.pop()
            spare -= 1
    for number in range(-spare):
        hypotheses[number % photos].append(f"more{number}")
    missing = lengths[1] - sum(map(len, references))
    for number in range(abs(missing)):
        if missing > 0:
            references[number % photos].append(f"extra{number}")
        else:
            references[number % photos].pop()
    found = bleu(dict(enumerate(hypotheses)), {i: [r] for i, r in enumerate(references)})
    assert list(found.values()) == pytest.approx([0.630714, 0.453698, 0.318958, 0.224083], abs=1e-6)


def test_it_is_nltk_s_corpus_score_and_not_a_mean_of_sentences() -> None:
    hypotheses = ["a dog runs over the green grass", "two men are on a boat in the water"]
    references = [["a dog runs over the grass", "a brown dog runs over green grass"], ["two men on a boat in the water"]]
    expected = corpus_bleu([[r.split() for r in rs] for rs in references], [h.split() for h in hypotheses])
    assert score(hypotheses, references)[3] == pytest.approx(expected, abs=1e-9)


def test_on_a_tie_the_shorter_reference_counts() -> None:
    assert score(["a b c d"], [["a b c d e", "a b c"]])[0] == pytest.approx(1.0, abs=1e-6)


def test_nothing_said_scores_nothing() -> None:
    assert score([""], [["a dog"]]) == pytest.approx([0.0] * 4)


def test_a_photo_without_its_counterpart_is_an_error_and_never_a_smaller_corpus() -> None:
    with pytest.raises(InputError, match="2 photos"):
        bleu({1: ["a"], 2: ["b"]}, {1: [["a"]], 3: [["b"]]})
