"""The design of a memory study: every cell on every task with several seeds, and the gradient norms of every cell."""

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from showattend.study.config import MemoryStudy
from showattend.study.memory_probe import Outcome, longest_delay, probe_gradients, probe_memory
from showattend.study.trials import COMPLETE, Job, Row, seed_of

TRACK, GRADIENTS = "memory", "gradients"


def memory_jobs(config: MemoryStudy) -> list[Job]:
    """The first seed of everything comes before the second one, so that an unfinished study covers all cells."""
    return [
        Job(TRACK, phase, cell, number, seed_of(config.seed, phase, number))
        for number in range(config.seeds)
        for phase in (*config.tasks, GRADIENTS)
        for cell in config.chosen_cells
    ]


def is_cut_short(row: Row, config: MemoryStudy) -> bool:
    """Whether a run ended at the longest delay, or distance, of a configuration that had fewer of them, and would go on now."""
    if row.status != COMPLETE:
        return False
    if row.job.phase == GRADIENTS:  # in older studies the distance was the longest delay
        return len(row.values["untrained"]) != config.probe.distance
    return row.values["longest_delay"] < config.probe.delays[-1] and all(outcome["solved"] for outcome in row.values["outcomes"])


class MemoryWork:
    """Measures the jobs of a memory study.

    Args:
        rows: of a study with fewer delays, from whose outcomes its runs go on
    """

    def __init__(self, config: MemoryStudy, rows: Mapping[str, Row] = MappingProxyType({})) -> None:
        self.config = config
        self.cut_short = {trial: row for trial, row in rows.items() if row.job.phase != GRADIENTS and is_cut_short(row, config)}

    def __call__(self, job: Job) -> dict[str, Any]:
        """Gradient norms by distance, untrained and trained; or the longest delay that was learned, and each that was tried."""
        if job.phase == GRADIENTS:
            norms = probe_gradients(job.cell, self.config.probe, job.seed)
            return {"longest_delay": 0, **norms._asdict()}
        before = self.cut_short.get(job.id)
        learned = [Outcome(**outcome) for outcome in before.values["outcomes"]] if before and before.job == job else []
        outcomes = [*learned, *probe_memory(job.cell, job.phase, self.config.probe, job.seed, longest_delay(learned))]
        return {"longest_delay": longest_delay(outcomes), "outcomes": list(map(asdict, outcomes))}
