"""The design of a captioning study, in three phases.

1. Search: every cell tries the same random settings, each once.
2. Selection: the candidates, which are a cell's best few settings, are run again with fresh seeds; their mean chooses one of them.
3. Final runs: that setting with fresh seeds again.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from showattend.cells.catalogue import matched_hidden_size
from showattend.models.config import DecoderConfig
from showattend.study.caption_runs import run_trial
from showattend.study.config import EQUAL_PARAMETERS, MAX_CANDIDATE_SEEDS, CaptionStudy, SearchSpace
from showattend.study.material import Material, prepare_material
from showattend.study.trials import COMPLETE, DIVERGED, FAILED, FINAL, SEARCH, SELECTION, Job, Row, seed_of

OBJECTIVE = "val_nll"  # selects the best setting; test is looked at for the report alone
INTERACTIONS = "interactions"
TINY = 1e-9  # nats: what remains of losses that are alike when a mean is taken off


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The search space as Optuna takes it."""
    (rate, highest_rate), (dropout, highest_dropout), (clip, highest_clip) = space.learning_rate, space.dropout, space.clip
    return {
        "learning_rate": FloatDistribution(rate, highest_rate, log=True),
        "dropout": FloatDistribution(dropout, highest_dropout),
        "clip": FloatDistribution(clip, highest_clip, log=True),
        "hidden_size": CategoricalDistribution(space.hidden_size),
    }


def draw_settings(space: SearchSpace, count: int, seed: int) -> list[dict[str, float]]:
    """The settings that Optuna's random sampler draws; more of them begin with the same ones."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    return [study.ask(distributions(space)).params for _ in range(count)]


def search_jobs(config: CaptionStudy) -> list[Job]:
    """Phase 1. The first setting of all cells comes before the second one, so that an unfinished study covers all of them."""
    settings = draw_settings(config.space, config.trials, config.seed)
    return [
        Job(track, SEARCH, cell, number, seed_of(config.seed, track, SEARCH, cell, number), params)
        for number, params in enumerate(settings)
        for track in config.tracks
        for cell in config.chosen_cells
    ]


def selection_jobs(config: CaptionStudy, rows: Mapping[str, Row]) -> list[Job]:
    """Phase 2: fresh seeds for the candidates of each cell, because one run that did well may have been lucky.

    There are none for a single candidate. The first seed of all candidates comes before the second one.
    """
    if config.candidates == 1:
        return []
    found = find_candidates(config, rows)
    return [
        Job(track, SELECTION, cell, place, seed_of(config.seed, track, SELECTION, cell, place), search.job.params)
        for number in range(config.candidate_seeds)
        for (track, cell), candidates in found.items()
        for search in candidates
        for place in (MAX_CANDIDATE_SEEDS * search.job.number + number,)
    ]


def final_jobs(config: CaptionStudy, rows: Mapping[str, Row]) -> list[Job]:
    """Phase 3: fresh seeds for the best setting of each cell that has one."""
    best = best_settings(config, rows)
    return [
        Job(track, FINAL, cell, number, seed_of(config.seed, track, FINAL, cell, number), params)
        for number in range(config.seeds)
        for (track, cell), params in best.items()
    ]


def planned_rows(config: CaptionStudy, rows: Mapping[str, Row]) -> dict[str, Row]:
    """Those of the rows that the configuration asks for; a folder holds others too after it was given fewer cells, trials or seeds."""
    jobs = search_jobs(config) + selection_jobs(config, rows) + final_jobs(config, rows)
    return {job.id: rows[job.id] for job in jobs if job.id in rows and rows[job.id].job == job}


def best_settings(config: CaptionStudy, rows: Mapping[str, Row]) -> dict[tuple[str, str], dict[str, float]]:
    """By track and cell, the candidate with the lowest validation loss, on average over its fresh seeds.

    A cell has none if every run of phase 1 diverged, or while a run of phase 2 has failed: repeated, that may choose another one.
    """
    best = {}
    for place, candidates in find_candidates(config, rows).items():
        runs = {search.job.number: fresh_runs(config, rows, search) for search in candidates}
        if all(row.status != FAILED for found in runs.values() for row in found):
            losses = {number: mean_loss(found) for number, found in runs.items()}
            best[place] = min(candidates, key=lambda search: losses[search.job.number]).job.params
    return best


def find_candidates(config: CaptionStudy, rows: Mapping[str, Row]) -> dict[tuple[str, str], list[Row]]:
    """By track and cell, the runs of phase 1 with the lowest validation losses, the best first."""
    found = {}
    for track in config.tracks:
        searched = [row for row in search_rows(rows, track) if row.job.number < config.trials]
        for cell in config.chosen_cells:
            trials = [row for row in searched if row.job.cell == cell]
            if trials:
                found[track, cell] = sorted(trials, key=lambda row: (row.values[OBJECTIVE], row.job.number))[: config.candidates]
    return found


def fresh_runs(config: CaptionStudy, rows: Mapping[str, Row], search: Row) -> list[Row]:
    """The runs of phase 2 of one candidate, as far as they are there."""
    job = search.job
    numbers = (MAX_CANDIDATE_SEEDS * job.number + number for number in range(config.candidate_seeds))
    found = (rows.get(f"{job.track}/{SELECTION}/{job.cell}/{number}") for number in numbers)
    return [row for row in found if row and row.job.params == job.params]


def mean_loss(runs: Sequence[Row]) -> float:
    """Mean validation loss; infinite where a run diverged, or none is complete."""
    losses = [row.values[OBJECTIVE] for row in runs if row.status == COMPLETE]
    return sum(losses) / len(losses) if losses and all(row.status != DIVERGED for row in runs) else math.inf


def planned_runs(config: CaptionStudy, rows: Mapping[str, Row]) -> int:
    """Runs of all phases; a cell whose every run of phase 1 diverged has none in the others."""
    searched = search_jobs(config)
    settings = Counter((job.track, job.cell) for job in searched if not _has_diverged(job, rows))
    candidates = sum(min(config.candidates, count) for count in settings.values()) if config.candidates > 1 else 0
    return len(searched) + candidates * config.candidate_seeds + len(settings) * config.seeds


def _has_diverged(job: Job, rows: Mapping[str, Row]) -> bool:
    row = rows.get(job.id)
    return row is not None and row.job == job and row.status == DIVERGED


def search_rows(rows: Mapping[str, Row], track: str) -> list[Row]:
    """The complete runs of phase 1 in one track."""
    return [row for row in rows.values() if (row.job.track, row.job.phase, row.status) == (track, SEARCH, COMPLETE)]


class CaptionWork:
    """Measures the runs of a study."""

    def __init__(self, config: CaptionStudy, folder: Path) -> None:
        self.config, self.folder = config, folder

    def __reduce__(self) -> tuple[type["CaptionWork"], tuple[CaptionStudy, Path]]:
        """For other processes: each reads the material itself."""
        return CaptionWork, (self.config, self.folder)

    @cached_property
    def material(self) -> Material:
        """What all runs share; it lies in the study's folder."""
        return prepare_material(self.config, self.folder)

    def __call__(self, job: Job) -> dict[str, Any]:
        """Train and score, see `run_trial`; on test in the final runs alone."""
        splits = ("val", "test") if job.phase == FINAL else ("val",)
        params = dict(job.params)
        if job.track == EQUAL_PARAMETERS:
            params["hidden_size"] = self._matched(job.cell, int(params["hidden_size"]))
        return run_trial(self.config, self.material, job.cell, params, job.seed, splits)

    def _matched(self, cell: str, hidden_size: int) -> int:
        """The size at which a cell has about as many parameters as the first reference has at `hidden_size`."""
        decoder = DecoderConfig(**self.config.decoder)
        input_size = decoder.embedding_size + (decoder.projection_dim or self.material.encoder.channels)
        return matched_hidden_size(cell, self.config.references[0], input_size, hidden_size)


def importances(rows: Sequence[Row], space: SearchSpace) -> dict[str, float]:
    """How much of the variance of the validation loss each hyperparameter explains by itself in the search of all cells together (fANOVA).

    The mean of each cell is taken off first, so that cells explain nothing. Runs that diverged have no loss, and are left out.

    Returns:
        shares, the last of them `interactions`: what two or more explain together alone; empty if no cell has two runs, or if all are alike
    """
    by_cell: dict[str, list[Row]] = {}
    for row in rows:
        by_cell.setdefault(row.job.cell, []).append(row)
    # The space as it was drawn from: Optuna's fANOVA would weigh what is log-uniform by its values.
    drawn = distributions(space)
    is_log = {name: isinstance(each, FloatDistribution) and each.log for name, each in drawn.items()}
    uniform = {name: _in_decades(each) if is_log[name] else each for name, each in drawn.items()}
    study, values = optuna.create_study(), list[float]()
    for trials in by_cell.values():
        mean = sum(row.values[OBJECTIVE] for row in trials) / len(trials)
        for row in trials:
            values.append(row.values[OBJECTIVE] - mean)
            params = {name: math.log10(value) if is_log[name] else value for name, value in row.job.params.items()}
            study.add_trial(optuna.trial.create_trial(value=values[-1], params=params, distributions=uniform))
    varied = [name for name, each in uniform.items() if not each.single()]
    if not varied or not values or max(values) - min(values) < TINY:
        return {}
    # Not by get_param_importances, which would scale the shares to a sum of 1.
    shares = optuna.importance.FanovaImportanceEvaluator(seed=0).evaluate(study)
    return {**shares, INTERACTIONS: max(0.0, 1 - sum(shares.values()))}


def _in_decades(each: Any) -> FloatDistribution:
    """A log-uniform distribution as the uniform one of the logarithm."""
    return FloatDistribution(math.log10(each.low), math.log10(each.high))
