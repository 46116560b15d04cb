"""CIDEr-D against known answers and against a plain transcription of its definition."""

import math
import random
from collections import Counter, defaultdict

import pytest

from showattend.errors import InputError
from showattend.metrics import CiderD, cider_d, corpus_statistics
from showattend.metrics.document_frequencies import count_document_frequencies


def ngrams(words: list[str]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for n in range(1, 5) for i in range(len(words) - n + 1))


def cider_d_by_definition(hypotheses: list[list[str]], references: list[list[list[str]]], corpus: list[list[list[str]]]) -> list[float]:
    """The definition, one n-gram at a time; document frequencies from the corpus."""
    frequency: Counter[tuple[str, ...]] = Counter(gram for photo in corpus for gram in {g for words in photo for g in ngrams(words)})

    def vector(words: list[str]) -> tuple[list[dict[tuple[str, ...], float]], list[float], int]:
        weights: list[dict[tuple[str, ...], float]] = [defaultdict(float) for _ in range(4)]
        for gram, count in ngrams(words).items():
            weights[len(gram) - 1][gram] = count * (math.log(len(corpus)) - math.log(max(1, frequency[gram])))
        return weights, [math.sqrt(sum(w * w for w in order.values())) for order in weights], max(0, len(words) - 1)

    scores = []
    for words, photo in zip(hypotheses, references, strict=True):
        hypothesis, hypothesis_norms, hypothesis_length = vector(words)
        total = 0.0
        for reference in photo:
            reference_weights, norms, length = vector(reference)
            for n in range(4):
                value = sum(min(weight, reference_weights[n][gram]) * reference_weights[n][gram] for gram, weight in hypothesis[n].items())
                if hypothesis_norms[n] and norms[n]:
                    value /= hypothesis_norms[n] * norms[n]
                total += value * math.exp(-((hypothesis_length - length) ** 2) / 72) / 4
        scores.append(10 * total / len(photo))
    return scores


def split(*captions: str) -> list[list[str]]:
    return [caption.split() for caption in captions]


def test_cider_d_of_two_known_pairs() -> None:
    references = [
        split("a man speaks", "someone speaks", "a man is speaking while a bird is chirping in the background"),
        split("rain is falling hard on a surface"),
    ]
    hypotheses = split("a man is speaking", "rain falls")
    assert CiderD(references).scores([0, 1], hypotheses).tolist() == pytest.approx([1.364055, 0.558655], abs=1e-6)
    assert cider_d(dict(enumerate(hypotheses)), dict(enumerate(references))) == pytest.approx(0.961355, abs=1e-6)


def test_cider_d_of_a_single_photo_is_0() -> None:
    assert cider_d({1: ["a", "dog"]}, {1: split("a dog", "the dog")}) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_cider_d_equals_its_definition_on_random_captions(seed: int) -> None:
    rng = random.Random(seed)

    def caption() -> list[str]:
        return rng.choices("abcdefgh", k=rng.choice([0, 1, 2, 3, 4, 9, 30]))

    references = [[caption() for _ in range(rng.randint(1, 6))] for _ in range(40)]
    hypotheses = [rng.choice([caption(), rng.choice(photo), ["new", "words"] * 3]) for photo in references]
    assert CiderD(references).scores(range(40), hypotheses).tolist() == pytest.approx(
        cider_d_by_definition(hypotheses, references, references), abs=1e-9
    )


def test_document_frequencies_of_a_larger_corpus_take_the_place_of_the_references_own() -> None:
    rng = random.Random(3)
    corpus = [[rng.choices("abcdefgh", k=rng.randint(0, 9)) for _ in range(3)] for _ in range(50)]
    photos = [(rng.choices("abcdefghij", k=7), [rng.choices("abcdefghk", k=7) for _ in range(4)]) for _ in range(6)]
    hypotheses, references = [caption for caption, _ in photos], [texts for _, texts in photos]
    frequencies = count_document_frequencies(corpus, "nltk")
    found = CiderD(references, frequencies=frequencies).scores(range(6), hypotheses)
    assert found.tolist() == pytest.approx(cider_d_by_definition(hypotheses, references, corpus), abs=1e-9)
    statistics = corpus_statistics(dict(enumerate(hypotheses)), dict(enumerate(references)), frequencies)
    assert statistics.values()["cider_d"] == pytest.approx(found.mean())
    assert not corpus_statistics({0: hypotheses[0]}, {0: references[0]}, frequencies).undefined
    few = count_document_frequencies([[["a", "dog"]]], "nltk")  # three n-grams, fewer than there are references
    assert all(map(math.isfinite, CiderD(references, frequencies=few).scores(range(6), hypotheses)))


def test_captions_of_some_photos_are_scored_against_all_references() -> None:
    rng = random.Random(7)
    references = [[rng.choices("abcdef", k=8) for _ in range(5)] for _ in range(30)]
    photos = [3, 3, 17, 0, 29, 3]
    hypotheses = [rng.choices("abcdefg", k=7) for _ in photos]
    expected = cider_d_by_definition(hypotheses, [references[i] for i in photos], references)
    assert CiderD(references).scores(photos, hypotheses).tolist() == pytest.approx(expected, abs=1e-9)


def test_n_grams_of_70000_words_have_different_codes() -> None:
    references = [[[f"w{i}", f"w{i + 1}", f"w{i * 7 % 70000}"]] for i in range(70000)]
    assert CiderD(references).scores([5, 69999], [references[5][0], references[69998][0]])[0] == pytest.approx(7.5)


def test_captions_without_references_are_refused() -> None:
    with pytest.raises(InputError, match="photos have a caption without references"):
        cider_d({1: ["a"]}, {2: [["a"]]})
