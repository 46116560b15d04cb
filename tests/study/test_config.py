"""The options of a study: what is refused, and what stands for what."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from quick_study import SPACE, measure

from showattend.cells import cell_names
from showattend.config_checks import from_mapping
from showattend.errors import InputError
from showattend.study.caption_study import draw_settings
from showattend.study.config import CaptionStudy, MemoryStudy, SearchSpace, check_sizes
from showattend.study.config_file import read_config
from showattend.study.study import plan_study, run_study
from showattend.training.recipes import recipe_names, recipe_path


def test_every_cell_tries_the_same_settings_and_more_of_them_begin_alike() -> None:
    space = from_mapping(SearchSpace, SPACE)
    assert draw_settings(space, 5, 0)[:3] == draw_settings(space, 3, 0) != draw_settings(space, 3, 1)
    assert all(1e-3 <= setting["learning_rate"] <= 1e-2 and setting["hidden_size"] in (16, 32) for setting in draw_settings(space, 5, 0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": {**SPACE, "learning_rate": [0.01]}}, r"space.learning_rate is \[0.01\]: give the lowest and the highest"),
        ({"space": {**SPACE, "dropout": [0.5, 0.1]}}, "space.dropout"),
        ({"space": {**SPACE, "hidden_size": []}}, "space.hidden_size"),
        ({"space": {**SPACE, "hidden_size": [10**9]}}, "at most 65536"),
        ({"seed": 2**32}, "study.seed"),
        ({"tracks": ["equal"]}, "unknown track 'equal'"),
        ({"cells": ["lstmm"]}, "did you mean 'lstm'"),
        ({"margins": {"test_nll": 0}}, "study.margins.test_nll is 0"),
        ({"margins": {"nll": 1}}, "unknown margin of study.margins 'nll'"),
        ({"decoder": {"hidden_size": 8}}, "what the study varies"),
        ({"candidate_seeds": 101}, "candidate_seeds"),
        ({"references": []}, "study.references is empty"),
        ({"margins": {"test_bleu4": 1}}, "lacks test_nll"),
        ({"tracks": ["equal_size", "equal_size"]}, "study.tracks names 'equal_size' twice"),
    ],
)
def test_bad_options_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_mapping(CaptionStudy, {"space": SPACE, "margins": {"test_nll": 0.1}, **change})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: [captions]", "unknown kind of study"),
        ("kind: memory\ntrials: 4", "unknown option of study 'trials'"),
        ("kind: captions\ndata: {root: 5}\nspace: {}\nmargins: {test_nll: 1}", "root"),
    ],
)
def test_a_file_of_another_kind_is_refused(text: str, message: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "study.yaml").write_text(text)
    assert message in refused("study", "--config", tmp_path / "study.yaml", "--out", tmp_path / "out")
    line = ("study", "--config", "study_memory", "--out", tmp_path / "out")
    assert "leave out --data.root, --tracks and --trials" in refused(*line, "--trials", 4)


def test_a_cell_that_cannot_be_built_at_a_size_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    space = {**SPACE, "hidden_size": [16, 18]}
    config = from_mapping(CaptionStudy, {"space": space, "margins": {"test_nll": 0.1}, "cells": ["clockwork"], "references": ["lstm"]})
    with pytest.raises(InputError, match=r"clockwork: a hidden size of 18 .*; change space.hidden_size, or leave the cell out"):
        run_study(config, tmp_path, work=measure)
    check_sizes(replace(config, tracks=["equal_parameters"]))  # there it has the multiple of four that is nearest
    memory = from_mapping(MemoryStudy, {"cells": ["clockwork"], "probe": {"hidden_size": 10}})
    with pytest.raises(InputError, match=r"clockwork: .*; change probe.hidden_size"):
        plan_study(memory, tmp_path, work=measure)


def test_references_are_trained_too_and_a_cell_that_is_named_twice_once() -> None:
    config = from_mapping(CaptionStudy, {"space": SPACE, "margins": {"test_nll": 0.1}, "references": ["factories:ClockCell", "lstm"]})
    assert config.chosen_cells == [*cell_names(), "factories:ClockCell"]
    assert from_mapping(MemoryStudy, {"cells": ["gru", "gru"]}).chosen_cells == ["gru"]


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("study_")])
def test_the_packaged_studies_are_valid(name: str) -> None:
    config = read_config(Path(recipe_path(name)))
    assert isinstance(config, MemoryStudy if name == "study_memory" else CaptionStudy)


def test_a_study_of_photos_without_photos_is_refused_before_it_begins(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "give --data.root DIR" in refused("study", "--config", "study_flickr8k", "--out", tmp_path / "photos")
    assert not (tmp_path / "photos").exists()
