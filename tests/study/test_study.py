"""A whole study: interrupted and resumed, refused, repeated, and run end to end through the command line."""

import csv
import gzip
import json
import math
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from operator import itemgetter
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from quick_study import CONFIG, SPACE, measure

from showattend.cli.main import main
from showattend.config_checks import from_mapping
from showattend.errors import InputError
from showattend.study.config import CaptionStudy, MemoryStudy
from showattend.study.config_file import read_config
from showattend.study.study import differences, plan_study, rerun, run_study
from showattend.study.trials import JOURNAL, Job, locked
from showattend.study.trials_table import TABLE


def summary_of(folder: Path) -> str:
    return (folder / "summary.json").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    run_study(CONFIG, folder, work=measure)
    return folder


def test_an_interrupted_study_ends_with_the_summary_of_an_uninterrupted_one(finished: Path, tmp_path: Path) -> None:
    journal = (finished / JOURNAL).read_bytes()
    run_study(CONFIG, tmp_path, work=measure)
    for share in (0.3, 0.8):  # cut in the middle of a line too, as a kill may
        (tmp_path / JOURNAL).write_bytes(journal[: int(share * len(journal))])
        run_study(CONFIG, tmp_path, work=measure)
        assert summary_of(tmp_path) == summary_of(finished)


def test_a_published_table_is_gone_on_with_by_whoever_has_no_journal(finished: Path, tmp_path: Path) -> None:
    shutil.copy(finished / "study.json", tmp_path)
    (tmp_path / f"{TABLE}.gz").write_bytes(gzip.compress((finished / TABLE).read_bytes()))
    measured: list[str] = []

    def work(job: Job) -> dict[str, Any]:
        measured.append(job.id)
        return measure(job)

    run_study(CONFIG, tmp_path, work=work)
    assert set(measured) == {f"{track}/search/gru/2" for track in CONFIG.tracks}, "only what had failed"
    assert json.loads(summary_of(tmp_path)) == json.loads(summary_of(finished))
    table, whole = ([line.rpartition(",")[0] for line in (folder / TABLE).read_text().splitlines()] for folder in (tmp_path, finished))
    assert table == whole, "but for the seconds"
    assert not list(tmp_path.glob("tmp*"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("complete", "done", "row 2: status: invalid enum value"),
        ("equal_parameters,final,elman,0,", "equal_parameters,final,elman,zero,", "row 2 is no run of a study"),
        ("val_nll", "val_loss", "is none of this study, or its row is damaged"),
        ("0.5,0.", "0.5,many", "or its row is damaged: .*test_bleu4: expected"),
        ("set_dropout", "set_droupout", "is none of this study"),
        (",16,0.00", ",17,0.00", "is none of this study"),
        ("0.5,0.", f"{10**400},0.", "or its row is damaged"),
        ("0.5,0.", "[0.5],0.", "or its row is damaged"),
        ("0.5,0.", "NaN,0.", "or its row is damaged"),
        ("0.5,0.", "null,0.", "or its row is damaged"),
        ("0.5,0.", "1e300,0.", "or its row is damaged"),
        ("trial,track", "trial,trick", "row 2 is no run of a study"),
    ],
)
def test_a_table_of_something_else_is_refused_and_leaves_no_journal(
    finished: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    shutil.copy(finished / "study.json", tmp_path)
    text = (finished / TABLE).read_text()
    assert old in text
    (tmp_path / TABLE).write_text(text.replace(old, new))
    with pytest.raises(InputError, match=message):
        run_study(CONFIG, tmp_path, work=measure)
    assert not (tmp_path / JOURNAL).exists()
    assert (tmp_path / TABLE).read_text() == text.replace(old, new), "the table is left as it was"


def test_a_table_that_is_cut_off_is_refused(finished: Path, tmp_path: Path) -> None:
    shutil.copy(finished / "study.json", tmp_path)
    (tmp_path / f"{TABLE}.gz").write_bytes(gzip.compress((finished / TABLE).read_bytes())[:-20])
    with pytest.raises(InputError, match=f"cannot read .*{TABLE}.gz"):
        run_study(CONFIG, tmp_path, work=measure)


def test_what_went_wrong_is_a_row_with_its_reason(finished: Path) -> None:
    rows = (finished / "trials.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 2 * 3 * (3 + 2 * 2 + 4)
    assert sum("diverged,loss nan at step 7" in row for row in rows) == 2
    assert sum("failed,RuntimeError: no luck" in row for row in rows) == 2
    cells = json.loads((finished / "summary.json").read_text(encoding="utf-8"))["tracks"]["equal_size"]["cells"]
    assert (cells["elman"]["diverged"], cells["gru"]["failed"]) == (1, 1)


def test_a_study_whose_every_run_failed_ends_with_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(work: Any, job: Job) -> dict[str, Any]:
        raise RuntimeError("no luck")

    monkeypatch.setattr("showattend.study.memory_study.MemoryWork.__call__", fail)
    (tmp_path / "study.yaml").write_text("kind: memory\ncells: [lstm]\nseeds: 1\ntasks: [adding]\n")
    assert main(["study", "--config", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "out")]) == 1
    assert json.loads(summary_of(tmp_path / "out"))["runs"] == {"planned": 2, "finished": 2, "failed": 2}
    assert "2 runs failed" in (tmp_path / "out" / "report.html").read_text()


def test_selection_looks_at_validation_alone(finished: Path) -> None:
    with (finished / "trials.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "complete"]
    setting = itemgetter(*(f"set_{name}" for name in SPACE))
    for track, cell in product(("equal_size", "equal_parameters"), ("gru", "elman", "lstm")):
        of_cell = [row for row in rows if (row["track"], row["cell"]) == (track, cell)]
        search, final = ([row for row in of_cell if row["phase"] == phase] for phase in ("search", "final"))
        fresh: dict[Any, list[float]] = {}
        for row in (row for row in of_cell if row["phase"] == "selection"):
            fresh.setdefault(setting(row), []).append(float(row["val_nll"]))
        assert set(fresh) == {setting(row) for row in sorted(search, key=lambda row: float(row["val_nll"]))[:2]}
        assert {setting(row) for row in final} == {min(fresh, key=lambda tried: fmean(fresh[tried]))}
    report = (finished / "report.html").read_text(encoding="utf-8")
    assert "Best setting of each cell, by validation loss" in report
    assert "data:image/svg+xml;base64," in report


def test_the_mean_of_fresh_runs_chooses_among_the_candidates(tmp_path: Path) -> None:
    """The setting whose one run was best is chosen no more, as one of its fresh runs is bad; nor is one of which a run diverged."""
    searched = {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.9}
    fresh = {0: 0.05, 1: 0.35, 100: 0.12, 101: 0.2, 200: 0.01, 201: math.nan}

    def work(job: Job) -> dict[str, Any]:
        loss = {"search": searched, "selection": fresh}.get(job.phase, {}).get(job.number, 0.5 + 0.01 * job.number)
        return {**measure(replace(job, phase="final")), "val_nll": loss, "test_nll": loss}

    config = replace(CONFIG, trials=4, candidates=3)
    summary = run_study(config, tmp_path, work=work)
    with (tmp_path / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    of_lstm = [row for row in rows if (row["track"], row["cell"]) == ("equal_size", "lstm")]
    assert summary["runs"] == {"planned": 2 * 3 * (4 + 6 + 4), "finished": len(rows), "failed": 0}
    assert len(rows) == 84
    settings = {row["phase"] + row["number"]: row["set_learning_rate"] for row in of_lstm}
    assert {settings[f"final{seed}"] for seed in range(4)} == {settings["search1"]} == {settings["selection100"], settings["selection101"]}
    assert len({row["seed"] for row in rows}) == len(rows), "each run has a seed of its own"
    found = summary["tracks"]["equal_size"]["candidates"]["lstm"]
    assert [(each["number"], each["losses"]) for each in found] == [(0, [0.05, 0.35]), (1, [0.12, 0.2]), (2, [0.01])]
    assert [each["mean"] for each in found] == [pytest.approx(0.2), pytest.approx(0.16), None]
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Candidates: validation loss" in report
    chosen = ["chosen" if each["chosen"] else "" for each in found]
    assert (chosen, [each["diverged"] for each in found]) == (["", "chosen", ""], [0, 0, 1])


def test_final_runs_wait_while_a_run_that_chooses_has_failed(finished: Path, tmp_path: Path) -> None:
    failing = {"equal_size/selection/lstm/0", "equal_size/selection/lstm/100", "equal_size/selection/lstm/200"}

    def work(job: Job) -> dict[str, Any]:
        if job.id in failing:
            raise MemoryError
        return measure(job)

    track = run_study(CONFIG, tmp_path, work=work)["tracks"]["equal_size"]
    assert "A selection run of lstm failed: its final runs wait until that is repeated." in track["conclusion"]
    assert track["cells"]["lstm"]["finals"] == 0
    assert track["cells"]["elman"]["finals"] == 4
    run_study(CONFIG, tmp_path, work=measure)
    assert summary_of(tmp_path) == summary_of(finished)


def test_candidates_may_be_asked_for_later(finished: Path, tmp_path: Path) -> None:
    """What was searched is kept, and what is chosen otherwise then is run anew, as if it had been asked for at once."""
    run_study(replace(CONFIG, candidates=1), tmp_path, work=measure)
    assert "selection" not in (tmp_path / TABLE).read_text()
    run_study(CONFIG, tmp_path, work=measure)
    assert summary_of(tmp_path) == summary_of(finished)


def test_another_configuration_in_the_folder_is_refused(finished: Path) -> None:
    other = from_mapping(CaptionStudy, {"space": SPACE, "margins": {"test_nll": 0.1}, "references": ["lstm"]})
    with pytest.raises(InputError, match="holds a study with another margins"):
        run_study(other, finished, work=measure)


def test_a_configuration_of_an_older_version_with_fewer_options_is_the_same(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    content = json.loads((tmp_path / "study.json").read_text())
    del content["generation"]["mutual_information"]
    (tmp_path / "study.json").write_text(json.dumps(content))
    assert plan_study(CONFIG, tmp_path, work=measure).finished == 66 - 2 * (1 + 4 + 4)


def test_code_that_a_folder_names_is_not_imported_without_trust(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "strange", raising=False)
    Path("strange.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    shutil.copytree(finished, "study")
    content = json.loads((finished / "study.json").read_text())
    strange = [{"encoder": {**content["encoder"], "name": "strange:E"}}, {"data": {**content["data"], "layout": "strange:R"}}]
    strange += [{"decoder": {"attention": "strange:A"}}, {"references": ["strange:Cell"]}, {"cells": ["strange:Cell"]}]
    for change in strange:
        Path("study", "study.json").write_text(json.dumps({**content, **change}))
        assert "--trust strange" in refused("study", "--out", "study", "--dry-run")
    options = ("--config", "own.json", "--out", "study", "--cells", "gru", "--dry-run")
    Path("own.json").write_text(json.dumps(content))
    assert "--trust strange" in refused("study", *options)
    assert not Path("imported").exists()
    assert "cannot import the cell 'strange:Cell'" in refused("study", *options, "--trust", "strange")
    assert "cannot import the cell 'strange:Cell'" in refused("study", "--out", "study", "--dry-run", "--trust", "strange")


def test_a_recipe_of_its_own_and_links_in_a_folder_are_refused(finished: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    folder = shutil.copytree(finished, tmp_path / "study")
    content = json.loads((finished / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**content, "encoder_recipe": str(tmp_path / "evil.yaml")}))
    assert "the stored study trains the recipe" in refused("study", "--out", folder, "--dry-run")
    shutil.copy(finished / "study.json", folder)
    (tmp_path / "precious").write_text("text")
    for name in ("summary.json", "lock"):
        (folder / name).unlink()
        (folder / name).symlink_to(tmp_path / "precious")
        assert name in refused("study", "--out", folder, "--dry-run")
        (folder / name).unlink()
    assert (tmp_path / "precious").read_text() == "text"
    (tmp_path / "run").mkdir()
    for name in ("encoder", "shapes/photos"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(tmp_path / "run")
        assert f"{name} is a link" in refused("study", "--out", folder, "--dry-run")
        (folder / name).unlink()


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(InputError, match="another process is working on the study"):
        run_study(CONFIG, tmp_path, work=measure)


def test_what_failed_is_tried_again_and_a_smaller_study_counts_its_own_runs(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    tried = []

    def luck(job: Job) -> dict[str, Any]:
        tried.append(job.id)
        return measure(replace(job, phase="final"))

    smaller = replace(CONFIG, cells=["gru"], tracks=["equal_size"], seeds=2)
    summary = run_study(smaller, tmp_path, work=luck)
    assert [trial for trial in tried if "/search/" in trial] == ["equal_size/search/gru/2"], "only what had failed"
    assert summary["runs"] == {"planned": 2 * (3 + 4 + 2), "finished": 2 * (3 + 4 + 2), "failed": 0}


def test_a_plan_and_a_repetition_change_no_study(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file() and path.name != "lock"}
    plan = plan_study(CONFIG, tmp_path, work=measure)
    # Two runs of gru's search have failed: they may choose other candidates, so that nothing of what came after them counts.
    assert (plan.planned, plan.finished) == (66, 66 - 2 * (1 + 4 + 4))
    stored, repeated = rerun(replace(CONFIG, seeds=2), tmp_path, "equal_size/final/gru/3", work=measure)
    assert differences(stored, repeated) == {}
    assert {path: path.read_bytes() for path in before} == before


def test_where_the_photos_of_a_published_study_lie_is_for_each_machine_to_say(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    moved = replace(CONFIG, data=replace(CONFIG.data, root=tmp_path / "photos"), encoder=replace(CONFIG.encoder, weights="none"))
    run_study(moved, tmp_path, work=measure)
    assert json.loads((tmp_path / "study.json").read_text())["data"]["root"] == str(tmp_path / "photos")
    (tmp_path / "cache").mkdir()  # of these photos
    with pytest.raises(InputError, match="another data"):
        run_study(CONFIG, tmp_path, work=measure)


def test_a_table_of_another_kind_of_study_is_refused_as_such(finished: Path, tmp_path: Path) -> None:
    shutil.copy(finished / "study.json", tmp_path)
    shutil.copy(finished / TABLE, tmp_path)
    with pytest.raises(InputError, match=r"another kind \(captions, not memory\)"):
        run_study(from_mapping(MemoryStudy, {}), tmp_path, work=measure)


def test_a_folder_without_a_run_takes_another_configuration_but_for_its_data(tmp_path: Path) -> None:
    for config in (replace(CONFIG, cells=["elman"]), replace(CONFIG, margins={"test_nll": 0.2})):
        run_study(config, tmp_path, work=measure)
        (tmp_path / JOURNAL).unlink()
        (tmp_path / TABLE).unlink()
    with pytest.raises(InputError, match="another seed"):
        run_study(replace(CONFIG, seed=1), tmp_path, work=measure)


@pytest.mark.parametrize("name", ["flickr8k", "memory", "shapes"])
def test_a_study_of_the_documents_is_gone_on_with_from_its_table(name: str, tmp_path: Path) -> None:
    """All of its rows are those of its configuration; where it has a control, that is not found to differ from itself."""
    folder = shutil.copytree(Path(__file__).parents[2] / "docs" / "runs" / "study" / name, tmp_path / "study")
    config = read_config(folder / "study.json")
    summary = run_study(config, folder)  # without data and encoder
    assert summary["runs"]["planned"] == summary["runs"]["finished"] > 40
    for track in summary.get("tracks", {}).values() if name == "shapes" else ():
        assert any("The control: np" in sentence for sentence in track["conclusion"])
        assert track["focused_comparisons"]["lstm"]["np"]["verdict"] != "different"


def test_a_study_runs_through_the_command_line_and_a_trial_repeats(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    config, out = tmp_path / "small.yaml", tmp_path / "out"
    config.write_text(f"""
kind: captions
cells: [elman]
references: [lstm]
tracks: [equal_parameters]
trials: 2
candidates: 2
candidate_seeds: 1
seeds: 2
space: {{learning_rate: [0.003, 0.01], dropout: [0.0, 0.1], clip: [1.0, 2.0], hidden_size: [16]}}
margins: {{test_nll: 0.1}}
data: {{root: {shapes}, batch_size: 8}}
encoder: {{name: tiny, weights: none}}
preprocessing: {{image_size: 64}}
decoder: {{embedding_size: 16, attention_size: 16}}
training: {{steps: 2}}
generation: {{beam: 1, max_length: 6}}
""")
    assert main(["study", "--config", str(config), "--out", str(out)]) == 0
    assert {"trials.csv", "summary.json", "report.html"} <= {path.name for path in out.iterdir()}
    cells = json.loads((out / "summary.json").read_text(encoding="utf-8"))["tracks"]["equal_parameters"]["cells"]
    assert cells["lstm"]["hidden_size"] == 16 < cells["elman"]["hidden_size"]
    assert cells["elman"]["failed"] == cells["lstm"]["failed"] == 0
    assert "no trial 'x'" in refused("study", "--out", out, "--rerun", "x")
    capsys.readouterr()
    for trial, values in (
        ("equal_parameters/search/elman/0", 10),
        ("equal_parameters/selection/elman/100", 10),
        ("equal_parameters/final/lstm/1", 14),
    ):
        assert main(["study", "--out", str(out), "--rerun", trial]) == 0
        assert capsys.readouterr().out.endswith(f"the same {values} values\n")
