"""The summary of a memory study: by task and cell the longest delay that was learned, and gradient norms over the distance."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from scipy.stats import spearmanr

from showattend.study.config import MemoryStudy
from showattend.study.memory_study import GRADIENTS, memory_jobs
from showattend.study.summary import Summary, count_runs
from showattend.study.trials import COMPLETE, Row

NAMED_CELLS = ("elman", "lstm", "gru")  # whose gradients the conclusion names
MIN_CELLS_TO_CORRELATE = 6
SIGNIFICANCE = 0.05


def summarize_memory(config: MemoryStudy, rows: Mapping[str, Row]) -> Summary:
    """The summary of a memory study, finished or not."""
    planned = {job.id for job in memory_jobs(config)}
    rows = {trial: row for trial, row in rows.items() if trial in planned}
    tasks = {task: _summarize_task(config, rows, task) for task in config.tasks}
    gradients = _summarize_gradients(config, rows)
    return {
        "kind": "memory",
        "delays": config.probe.delays,
        "runs": count_runs(planned_memory_runs(config), rows),
        "tasks": tasks,
        "gradients": gradients,
        "conclusion": [
            *(_sentence(config, task, cells) for task, cells in tasks.items() if cells),
            *_gradient_sentences(config.probe.delays[-1] // 2, gradients, tasks),
        ],
    }


def planned_memory_runs(config: MemoryStudy) -> int:
    """Runs of all tasks, and of the gradient norms."""
    return (len(config.tasks) + 1) * config.seeds * len(config.chosen_cells)


def _complete(rows: Mapping[str, Row], phase: str, cell: str) -> list[Row]:
    found = [row for row in rows.values() if (row.job.phase, row.job.cell, row.status) == (phase, cell, COMPLETE)]
    return sorted(found, key=lambda row: row.job.number)


def _summarize_task(config: MemoryStudy, rows: Mapping[str, Row], task: str) -> dict[str, Summary]:
    """By cell, the cells of the longest memory first: the longest learned delay of each seed, their median, and learned shares by delay."""
    cells = {}
    for cell in config.chosen_cells:
        longest = [row.values["longest_delay"] for row in _complete(rows, task, cell)]
        if longest:
            learned = {str(delay): sum(value >= delay for value in longest) / len(longest) for delay in config.probe.delays}
            cells[cell] = {"longest": longest, "median": median(longest), "learned": learned}
    return dict(sorted(cells.items(), key=lambda item: (-item[1]["median"], -fmean(item[1]["longest"]), item[0])))


def _summarize_gradients(config: MemoryStudy, rows: Mapping[str, Row]) -> dict[str, Summary]:
    """By cell, the geometric means over the seeds of the norms at each distance, untrained and trained."""
    cells = {}
    for cell in config.chosen_cells:
        found = _complete(rows, GRADIENTS, cell)
        if found:
            cells[cell] = {kind: _geometric_means([row.values[kind] for row in found]) for kind in ("untrained", "trained")}
            cells[cell]["learned"] = sum(row.values["solved"] for row in found) / len(found)
    return cells


def _geometric_means(rows: Sequence[Sequence[float]]) -> Any:
    """Of each column; a norm of 0, beyond the range of floats, counts as 1e-45."""
    return [math.exp(sum(math.log(max(value, 1e-45)) for value in column) / len(column)) for column in zip(*rows, strict=True)]


def _sentence(config: MemoryStudy, task: str, cells: Mapping[str, Summary]) -> str:
    last = config.probe.delays[-1]
    by_median: dict[float, list[str]] = {}
    for name, cell in cells.items():
        by_median.setdefault(cell["median"], []).append(name)
    parts = []
    for delay, names in sorted(by_median.items(), reverse=True):
        reach = f"at {last} still" if delay == last else f"up to {delay:g}" if delay else "at no delay"
        parts.append(f"{reach}: {', '.join(names)}")
    return f"{task} is learned (median of the seeds) {'; '.join(parts)}."


def _gradient_sentences(distance: int, gradients: Mapping[str, Summary], tasks: Mapping[str, Mapping[str, Summary]]) -> Iterator[str]:
    """How far gradients vanish, and whether those of the untrained cells say which of them remember.

    Args:
        distance: in steps
    """
    if not gradients:
        return
    before, after = ({cell: norms[kind][distance - 1] for cell, norms in gradients.items()} for kind in ("untrained", "trained"))
    named = [cell for cell in NAMED_CELLS if cell in gradients] or list(gradients)[: len(NAMED_CELLS)]
    parts = [f"{before[cell]:.2g} in {cell} ({after[cell]:.2g} after training)" for cell in named]
    yield f"Over {distance} steps the gradient of an untrained cell has shrunk or grown to {', '.join(parts)}; 1 would be unchanged."
    for task, cells in tasks.items():
        common = [cell for cell in cells if cell in gradients]
        if len(common) >= MIN_CELLS_TO_CORRELATE:
            yield _correlation_sentence(task, [before[cell] for cell in common], [fmean(cells[cell]["longest"]) for cell in common])


def _correlation_sentence(task: str, norms: Sequence[float], delays: Sequence[float]) -> str:
    """Whether cells with larger gradients learn longer delays: Spearman's rank correlation."""
    rho, p = spearmanr(norms, delays)
    if not math.isfinite(rho):  # all delays are equal
        return f"All cells learn the same delays of {task}."
    relation = "says nothing of" if p >= SIGNIFICANCE else "goes with longer" if rho > 0 else "goes with shorter"
    return (
        f"A larger gradient before training {relation} delays of {task} (rank correlation {rho:+.2f} over {len(norms)} cells, p = {p:.2g})."
    )
