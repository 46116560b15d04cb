"""What every registered metric must do, and that one file adds a metric everywhere."""

import functools
import json
import random
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import showattend.metrics
from showattend.cli.main import main
from showattend.metrics import (
    AdditiveMetric,
    Corpus,
    Metric,
    MetricUnavailable,
    compare,
    corpus_statistics,
    find_metric,
    import_metrics,
    intervals,
    monitor_choices,
    register_metric,
    registered_metrics,
)
from showattend.metrics.base import _METRICS

WORDS = ["a", "the", "dog", "cat", "runs", "sits", "on", "grass", "red", "big", "two", "under", "tree"]
Captions = dict[int, list[str]]
References = dict[int, list[list[str]]]


def captions_and_references(photos: int = 12) -> tuple[Captions, References]:
    """Captions that keep about two words in three of a reference."""
    rng = random.Random(0)
    references = {photo: [rng.choices(WORDS, k=rng.randint(5, 10)) for _ in range(3)] for photo in range(photos)}
    hypotheses = {photo: [word if rng.random() < 0.65 else rng.choice(WORDS) for word in texts[0]] for photo, texts in references.items()}
    return hypotheses, references


@functools.cache
def why_unavailable(metric: Metric) -> str:
    try:
        metric.check()
    except MetricUnavailable as error:
        return str(error)
    return ""


def at_least_as_good(metric: Metric, one: float, other: float) -> bool:
    return one >= other - 1e-9 if metric.higher_is_better else one <= other + 1e-9


def _param(metric: Metric) -> object:
    # Java starts for each of its calls.
    return pytest.param(metric, marks=pytest.mark.slow if metric.name == "meteor" else ())


@pytest.mark.parametrize(
    "metric", [_param(metric) for metric in registered_metrics()], ids=[metric.name for metric in registered_metrics()]
)
class TestMetricContract:
    @pytest.fixture
    def usable(self, metric: Metric) -> None:
        if reason := why_unavailable(metric):
            pytest.skip(reason)

    def test_a_metric_is_found_by_its_name(self, metric: Metric) -> None:
        assert find_metric(metric.name) is metric
        assert metric.name.isidentifier()
        assert metric.label

    @pytest.mark.usefixtures("usable")
    def test_values_lie_within_the_limits(self, metric: Metric) -> None:
        score = metric.score(Corpus(*captions_and_references()))
        low, high = metric.limits
        assert low <= score.value <= high
        assert score.per_photo.shape == (12,)
        assert ((low <= score.per_photo) & (score.per_photo <= high)).all()

    @pytest.mark.usefixtures("usable")
    def test_a_reference_itself_scores_at_least_as_well_as_other_captions(self, metric: Metric) -> None:
        hypotheses, references = captions_and_references()
        perfect = metric.score(Corpus({photo: texts[0] for photo, texts in references.items()}, references))
        changed = metric.score(Corpus(hypotheses, references))
        assert at_least_as_good(metric, perfect.value, changed.value)

    @pytest.mark.usefixtures("usable")
    def test_an_empty_caption_scores_no_better_than_a_reference_itself(self, metric: Metric) -> None:
        _, references = captions_and_references()
        captions = {photo: texts[0] for photo, texts in references.items()}
        perfect, empty = (metric.score(Corpus(captions | {0: first}, references)) for first in (captions[0], []))
        assert np.isfinite(empty.per_photo).all()
        assert at_least_as_good(metric, perfect.per_photo[0], empty.per_photo[0])
        assert at_least_as_good(metric, perfect.value, empty.value)

    @pytest.mark.usefixtures("usable")
    def test_the_order_of_photos_and_of_references_changes_nothing(self, metric: Metric) -> None:
        hypotheses, references = captions_and_references()
        score = metric.score(Corpus(hypotheses, references))
        backwards = {photo: texts[::-1] for photo, texts in reversed(references.items())}
        reordered = metric.score(Corpus(hypotheses, backwards))
        assert reordered.value == pytest.approx(score.value, abs=1e-9)
        assert reordered.per_photo[::-1] == pytest.approx(score.per_photo, abs=1e-9)

    @pytest.mark.usefixtures("usable")
    def test_the_corpus_value_comes_from_the_sums_of_the_photos_statistics(self, metric: Metric) -> None:
        if not isinstance(metric, AdditiveMetric):
            pytest.skip("its corpus value is no function of sums over photos")
        corpus = Corpus(*captions_and_references())
        statistics, score = metric.statistics(corpus), metric.score(corpus)
        assert statistics.shape[0] == len(corpus)
        assert float(metric.value_of_sums(statistics.sum(0), len(corpus))) == pytest.approx(score.value, abs=1e-12)
        for row, value in zip(statistics, score.per_photo, strict=True):
            assert float(metric.value_of_sums(row, 1)) == pytest.approx(value, abs=1e-12)

    @pytest.mark.usefixtures("usable")
    def test_the_statistics_of_all_metrics_together_give_the_same_values(self, metric: Metric) -> None:
        if not isinstance(metric, AdditiveMetric):
            pytest.skip("it is computed on its own")
        hypotheses, references = captions_and_references()
        together, alone = corpus_statistics(hypotheses, references), metric.score(Corpus(hypotheses, references))
        assert together.values()[metric.name] == pytest.approx(alone.value, abs=1e-12)
        assert together.per_photo()[metric.name] == pytest.approx(alone.per_photo, abs=1e-12)

    @pytest.mark.usefixtures("usable")
    def test_the_bootstrap_interval_holds_the_value_and_a_system_does_not_differ_from_itself(self, metric: Metric) -> None:
        if not isinstance(metric, AdditiveMetric):
            pytest.skip("it has no interval")
        statistics = corpus_statistics(*captions_and_references(40))
        low, high = intervals(statistics, resamples=200)[metric.name]
        assert low <= statistics.values()[metric.name] <= high
        same = compare(statistics, statistics, resamples=50)[metric.name]
        assert (same.difference, same.interval, same.p) == (0, (0, 0), 1)

    def test_it_can_select_a_checkpoint_in_its_direction(self, metric: Metric) -> None:
        direction = "max" if metric.higher_is_better else "min"
        assert monitor_choices().get(f"val_{metric.name}") == (None if metric.optional else direction)


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="the metric name 'bleu4' is taken by BLEU-4"):
        register_metric(find_metric("bleu4"))


TOY = """
    import numpy as np

    from showattend.metrics.base import AdditiveMetric, register_metric

    def repeated_words(corpus):
        return np.array([[1 - len(set(words)) / max(1, len(words))] for words in corpus.hypotheses])

    register_metric(AdditiveMetric(name="repeats", label="Repeats", statistics=repeated_words, higher_is_better=False))
"""


@pytest.fixture
def toy_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One more file in the folder of metrics."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "toy_repeats.py").write_text(textwrap.dedent(TOY))
    monkeypatch.setattr(showattend.metrics, "__path__", [*showattend.metrics.__path__, str(folder)])
    before = dict(_METRICS)
    import_metrics()
    yield
    _METRICS.clear()
    _METRICS.update(before)


@pytest.mark.usefixtures("toy_metric")
def test_one_file_adds_a_metric_to_evaluate_report_compare_and_monitor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "references.csv").write_text("image,caption\n1.jpg,a dog runs\n2.jpg,a red cat\n")
    for name, captions in (("one", ("a dog dog dog", "a cat")), ("other", ("a dog", "a cat"))):
        rows = [{"image_id": f"{photo}.jpg", "caption": caption} for photo, caption in enumerate(captions, 1)]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    options = ["--results", tmp_path / "one.json", "--references", tmp_path / "references.csv", "--compare", tmp_path / "other.json"]
    options += ["--out", tmp_path / "out", "--report", tmp_path / "report.html"]
    assert main(["evaluate", *map(str, options)]) == 0
    printed = capsys.readouterr().out
    assert "  Repeats   0.2500  [0.0000, 0.5000]  (lower is better)\n" in printed
    assert "  Repeats  +0.2500  [+0.0000, +0.5000]  p 1.000  (lower is better)\n" in printed
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["repeats"] == 0.25
    assert metrics["intervals"]["repeats"] == [0, 0.5]
    assert (tmp_path / "out" / "photos.csv").read_text().splitlines()[0].endswith(",repeats")
    assert "Repeats 0.500" in (tmp_path / "report.html").read_text()
    assert monitor_choices()["val_repeats"] == "min"
