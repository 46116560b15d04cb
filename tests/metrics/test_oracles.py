"""BLEU, ROUGE-L and CIDEr-D against coco-caption's own code (pycocoevalcap): photos' captions, and sets made to be difficult."""

import json
import random
import runpy
from pathlib import Path

import pytest

from showattend.data.captions import read_captions
from showattend.metrics import CiderD, bleu, rouge_l
from showattend.metrics.rouge import rouge_l_of
from showattend.vocabulary import tokenize

pytest.importorskip("pycocoevalcap")

Captions = dict[int | str, list[str]]
References = dict[int | str, list[list[str]]]


def assert_equal_to_pycocoevalcap(captions: Captions, references: References) -> None:
    """All scores, of the corpus and of each photo, are the official ones."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    texts = {i: [" ".join(words)] for i, words in captions.items()}
    reference_texts = {i: [" ".join(words) for words in of_photo] for i, of_photo in references.items()}
    official, _ = Bleu(4).compute_score(reference_texts, texts, verbose=0)
    assert list(bleu(captions, references).values()) == pytest.approx(official, abs=1e-9)
    official, per_photo = Rouge().compute_score(reference_texts, texts)
    assert rouge_l(captions, references) == pytest.approx(official, abs=1e-9)
    assert [rouge_l_of(captions[i], references[i]) for i in captions] == pytest.approx(list(per_photo), abs=1e-9)
    official, per_photo = Cider().compute_score(reference_texts, texts)
    scores = CiderD(list(references.values())).scores(range(len(captions)), list(captions.values()))
    assert scores.tolist() == pytest.approx(list(per_photo), abs=1e-9)
    assert scores.mean() == pytest.approx(official, abs=1e-9)


def test_flickr8k_dev_captions_score_as_with_pycocoevalcap(flickr8k: Path) -> None:
    photos = read_captions(flickr8k).split("val")
    tokens = {photo.id: [tokenize(caption) for caption in photo.captions] for photo in photos}
    assert len(tokens) == 1000
    assert_equal_to_pycocoevalcap({i: texts[0] for i, texts in tokens.items()}, {i: texts[1:] for i, texts in tokens.items()})


WORDS = ["a", "dog", "café", "naïve", "日本", "ﬁ", "the", "run-ning", "'s", "😀"]


@pytest.mark.parametrize(
    ("name", "lengths", "most_references", "photos"),
    [
        ("empty captions", [0, 0, 5], 5, 30),
        ("one word", [1], 3, 30),
        ("one reference", [3, 8, 12], 1, 30),
        ("one photo", [6], 5, 1),
        ("very long", [400], 2, 6),
        ("of every sort", [0, 1, 2, 3, 7, 30], 6, 60),
        ("thousands of references", [8], 2000, 2),
    ],
)
def test_difficult_captions_score_as_with_pycocoevalcap(name: str, lengths: list[int], most_references: int, photos: int) -> None:
    rng = random.Random(name)

    def caption() -> list[str]:
        return rng.choices(WORDS, k=rng.choice(lengths))

    def reference_count() -> int:
        return most_references if name.startswith("thousands") else rng.randint(1, most_references)

    references: References = {i: [caption() for _ in range(reference_count())] for i in range(photos)}
    captions: Captions = {}
    for i, of_photo in references.items():
        captions[i] = rng.choice([caption(), rng.choice(of_photo), ["dog"] * rng.choice(lengths)])
    assert_equal_to_pycocoevalcap(captions, references)


def test_the_benchmark_runs_and_both_scorers_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script itself compares every score to 1e-9, in each round."""
    scripts = Path(__file__).parents[2] / "scripts"
    monkeypatch.syspath_prepend(str(scripts))  # as for a script that is run
    benchmark = runpy.run_path(str(scripts / "bench_metrics.py"))
    benchmark["main"](["--photos", "60", "--repeats", "2", "--json", str(tmp_path / "bench.json")])
    scores = json.loads((tmp_path / "bench.json").read_text())
    assert scores["sizes"]["references"] == 300
    assert len(scores["ratios"]) == 2
