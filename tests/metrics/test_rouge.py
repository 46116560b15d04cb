"""ROUGE-L against the known answers, its definition, and the longest common subsequence by its table."""

import random

import pytest

from showattend.errors import InputError
from showattend.metrics import rouge_l
from showattend.metrics.rouge import BETA


def score(caption: str, *references: str) -> float:
    return rouge_l({1: caption.split()}, {1: [reference.split() for reference in references]})


def rouge_l_by_definition(caption: list[str], references: list[list[str]]) -> float:
    """From the definition, with the table of the subsequences of all beginnings."""
    precisions, recalls = [], []
    for reference in references:
        table = [[0] * (len(reference) + 1) for _ in range(len(caption) + 1)]
        for i, word in enumerate(caption):
            for j, other in enumerate(reference):
                table[i + 1][j + 1] = table[i][j] + 1 if word == other else max(table[i][j + 1], table[i + 1][j])
        precisions.append(table[-1][-1] / len(caption))
        recalls.append(table[-1][-1] / len(reference))
    precision, recall = max(precisions), max(recalls)
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision) if precision and recall else 0.0


def test_rouge_l_of_known_pairs() -> None:
    assert score("this is a good test", "this is a test", "this is also a test") == pytest.approx(0.907063, abs=5e-7)
    references = ["a man speaks", "someone speaks", "a man is speaking while a bird is chirping in the background"]
    value = rouge_l(
        {1: ["a", "man", "is", "speaking"], 2: ["rain", "falls"]},
        {1: [reference.split() for reference in references], 2: [["rain", "is", "falling", "hard", "on", "a", "surface"]]},
    )
    assert value == pytest.approx(0.487069, abs=5e-7)


@pytest.mark.parametrize("seed", range(5))
def test_rouge_l_equals_its_definition_on_random_captions(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        caption = rng.choices("abcdef", k=rng.choice([1, 2, 7, 40, 100]))
        references = [rng.choices("abcdefg", k=rng.choice([1, 3, 9, 90])) for _ in range(rng.randint(1, 5))]
        assert rouge_l({0: caption}, {0: references}) == pytest.approx(rouge_l_by_definition(caption, references), abs=1e-12)


def test_rouge_l_of_an_empty_caption_is_0_and_of_a_reference_1() -> None:
    assert score("", "a dog") == 0
    assert score("a dog", "") == 0
    assert score("a dog runs", "a cat", "a dog runs") == 1


def test_captions_without_references_are_refused() -> None:
    with pytest.raises(InputError, match="photos have a caption without references"):
        rouge_l({1: ["a"]}, {2: [["a"]]})
