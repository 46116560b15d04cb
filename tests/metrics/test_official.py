"""METEOR by its own jar, and what is reported without Java, the package or the models."""

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from showattend.cli.main import main
from showattend.data.captions import read_captions
from showattend.metrics import Corpus, MetricUnavailable, find_metric, ptb_tokenize
from showattend.metrics.java import find_java, find_package
from showattend.metrics.meteor import MeteorProcess
from showattend.metrics.optional import OptionalScorers
from showattend.metrics.spice import MODELS, Spice

Texts = tuple[list[str], list[list[str]]]
PAIR: Texts = (["this is a good test"], [["this is a test", "this is also a test"]])


def list_files(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(path), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in folder.rglob("*") if path.is_file())


def java(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A java of our own, the only one on the PATH."""
    folder.mkdir()
    (folder / "java").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def corpus(*words: str) -> Corpus:
    """Photos whose caption, like their reference, is one word."""
    return Corpus({word: [word] for word in words}, {word: [[word]] for word in words})


def command(tmp_path: Path, *options: str) -> list[str]:
    (tmp_path / "caption.json").write_text(json.dumps([{"image_id": "1.jpg", "caption": "This is a good test."}]))
    (tmp_path / "refs.csv").write_text("image,caption\n1.jpg,this is a test\n1.jpg,this is also a test .\n")
    files = ["--results", str(tmp_path / "caption.json"), "--references", str(tmp_path / "refs.csv"), "--out", str(tmp_path / "out")]
    return ["evaluate", *files, *options]


def test_meteor_of_a_known_pair_writes_nothing_beside_the_jar_in_any_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pycocoevalcap")
    if shutil.which("java") is None:
        pytest.skip("there is no Java here")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Duser.language=it -Duser.country=IT")  # where decimals have a comma
    before = list_files(find_package())
    assert main(command(tmp_path, "--official", "--tokenizer", "nltk")) == 0
    assert list_files(find_package()) == before
    printed = capsys.readouterr()
    assert "METEOR    0.4443\n" in printed.out
    assert f"|meteor:1.5,ptb|java:{find_java()[1]}|pycocoevalcap:1" in printed.out
    assert printed.err.startswith("CIDEr-D is not defined for 1 photo")
    assert printed.err.count("\n") == 1
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["meteor"] == pytest.approx(0.444344, abs=1e-6)
    with (tmp_path / "out" / "photos.csv").open(newline="") as file:
        assert [row["meteor"] for row in csv.DictReader(file)] == ["0.444344"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pycocoevalcap leaves its pipes open
def test_meteor_equals_pycocoevalcap_s(flickr8k: Path) -> None:
    """50 photos of Flickr8k, and captions that are empty, long, foreign or full of the protocol's signs."""
    from pycocoevalcap.meteor.meteor import Meteor as OfficialMeteor

    photos = read_captions(flickr8k).split("val")[:50]
    tokens = [[" ".join(ptb_tokenize(caption)) for caption in photo.captions] for photo in photos]
    captions = [texts[-1] for texts in tokens] + ["", "a ||| dog", "un café", "a dog " * 60]
    references = [texts[:-1] for texts in tokens] + [["a dog"], ["a dog"], ["un café noir"], ["a dog"]]
    with MeteorProcess() as running:
        corpus, per_photo = running.score(captions, references)
    expected, expected_per_photo = OfficialMeteor().compute_score(
        dict(enumerate(references)), {n: [caption] for n, caption in enumerate(captions)}
    )
    assert corpus == pytest.approx(expected, abs=1e-12)
    assert per_photo == pytest.approx(expected_per_photo, abs=1e-12)
    assert corpus != pytest.approx(sum(expected_per_photo) / len(expected_per_photo), abs=1e-4)  # the corpus has its own sums


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 1", "does not run"),
        (
            '[ "$1" = -version ] && echo \'openjdk version "8.0.1"\' >&2 && exit; echo Error: no heap >&2; exit 1',
            "Java 8.0.1 (it has ended, or took too long; Error: no heap)",
        ),
        ('echo \'version "99"\' >&2; [ "$1" = -version ] || while read -r line; do echo no; done', "Java 99 (could not convert"),
        (
            'echo \'version "7"\' >&2; [ "$1" = -version ] || while read -r line; do case $line in E*) echo .5; esac; echo .5; done',
            "METEOR gives 0.500000 with Java 7",
        ),
    ],
)
def test_an_unusable_java_is_reported_in_one_line_and_the_other_scores_stay(
    script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pycocoevalcap")
    java(tmp_path / "bin", script, monkeypatch)
    assert main(command(tmp_path, "--official", "meteor")) == 1
    printed = capsys.readouterr()
    assert reason in printed.err
    assert printed.err.count("\n") == 2, "CIDEr-D of one photo has a line of its own"
    assert "ROUGE-L   0.9071" in printed.out
    assert "METEOR" not in printed.out
    assert "meteor" not in json.loads((tmp_path / "out" / "metrics.json").read_text())


def test_a_missing_java_or_package_is_reported_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pycocoevalcap")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(command(tmp_path, "--official", "meteor", "spice")) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == ["no METEOR", "no SPICE"]
    assert all("no java on the PATH" in line for line in lines[:2])
    monkeypatch.setattr("showattend.metrics.java.PACKAGE", "no_such_package")
    assert main(command(tmp_path, "--official")) == 1
    assert "pip install 'showattend[coco]'" in capsys.readouterr().err


@pytest.mark.parametrize("version", ["17.0.15", "25", "1.7.0_80", "15.0.2", "unheard-of"])
def test_spice_checks_the_java_version_before_the_models(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pycocoevalcap")
    java(tmp_path / "bin", f"echo 'version \"{version}\"' >&2", monkeypatch)
    assert OptionalScorers([find_metric("spice")]).reasons == [
        f"no SPICE: SPICE needs Java 8 to 14, and the java on the PATH is {version}: put another first on the PATH"
    ]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The names of SPICE's models, relative to the folder that one is in."""
    pytest.importorskip("pycocoevalcap")
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    for name in MODELS:
        Path("models", name).write_bytes(b"")
    return Path("models")


def test_spice_downloads_nothing_and_is_checked_first(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real jars' folder and a Java that fails: what is missing, then what the JVM says."""
    java(tmp_path / "bin", '[ "$1" = -version ] && echo \'version "1.8.0_412"\' >&2 && exit; echo Error: no heap >&2; exit 1', monkeypatch)
    before = list_files(find_package())
    scorers = OptionalScorers([find_metric("spice")])
    assert not scorers.usable
    assert "--spice-models DIR" in scorers.reasons[0]
    assert MODELS[0] in scorers.reasons[0]
    assert (
        "SPICE fails with Java 1.8.0_412 (Error: no heap)"
        in OptionalScorers([Spice(name="spice", label="SPICE", models=models)]).reasons[0]
    )
    assert list_files(find_package()) == before


def test_the_command_line_and_the_scores_of_spice(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that answers as the jar does for one photo. The jar itself needs its models and is not run."""
    answer = '[{"image_id": 0, "scores": {"All": {"f": 1.0}}}]'
    known = '[ "$1" = -version ] && echo \'version "11.0.2"\' >&2 && exit'
    java(tmp_path / "bin", f"{known}; pwd > {tmp_path}/folder; echo \"$@\" > {tmp_path}/line; echo '{answer}' > out.json", monkeypatch)
    scorers = OptionalScorers([Spice(name="spice", label="SPICE", models=models)])
    assert [metric.name for metric in scorers.usable] == ["spice"]
    line = (tmp_path / "line").read_text()
    assert all(str(tmp_path / "models" / name) in line for name in MODELS)  # it runs elsewhere: paths are whole
    assert "-cache" not in line
    assert not Path((tmp_path / "folder").read_text().strip()).exists()
    scores = scorers.scores(corpus("a"))["spice"]
    assert (scores.value, scores.per_photo.tolist()) == (1.0, [1.0])
    assert scorers.scores(corpus("a", "b")) == {}  # the second photo has no answer
    assert "SPICE leaves no scores with Java 11.0.2" in scorers.reasons[0]


def test_a_metric_that_fails_after_its_check_is_reported_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first start answers rightly, as the check does; the second one dies."""
    pytest.importorskip("pycocoevalcap")
    answer = "case $line in EVAL*) echo .444344; echo .444344;; *) echo 1;; esac"
    mark = tmp_path / "started"
    known = f'echo \'version "8"\' >&2; [ "$1" = -version ] && exit 0; [ -e {mark} ] && exit 1; : > {mark}'
    java(tmp_path / "bin", f"{known}; while read -r line; do {answer}; done", monkeypatch)
    scorers = OptionalScorers([find_metric("meteor")])
    assert [metric.name for metric in scorers.usable] == ["meteor"]
    assert scorers.scores(corpus("a")) == {}
    assert scorers.usable == []
    assert scorers.signature() == {}
    assert "it has ended" in scorers.reasons[0]


def test_a_jar_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pycocoevalcap")
    sleep = next(str(Path(folder, "sleep")) for folder in os.environ["PATH"].split(":") if Path(folder, "sleep").exists())
    java(tmp_path / "bin", f'[ "$1" = -version ] && echo \'version "8"\' >&2 || exec {sleep} 60', monkeypatch)
    monkeypatch.setattr("showattend.metrics.meteor.SECONDS", 0.2)
    with MeteorProcess() as running:
        with pytest.raises(MetricUnavailable, match="took too long"):
            running.score(*PAIR)
        assert running.process.wait(5) == -signal.SIGKILL
