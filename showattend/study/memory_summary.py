"""The summary of a memory study: by task and cell the longest delay that was learned, and gradient norms over the distance."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, median

from scipy.stats import spearmanr
from statsmodels.stats.multitest import multipletests

from showattend.study.config import MemoryStudy
from showattend.study.memory_study import GRADIENTS, is_cut_short, memory_jobs
from showattend.study.statistics import SIGNIFICANCE
from showattend.study.summary import Summary, count_runs
from showattend.study.trials import COMPLETE, Row

NAMED_CELLS = ("elman", "lstm", "gru")  # whose gradients the conclusion names
MIN_CELLS_TO_CORRELATE = 6


def summarize_memory(config: MemoryStudy, rows: Mapping[str, Row]) -> Summary:
    """The summary of a memory study, finished or not."""
    planned = {job.id for job in memory_jobs(config)}
    finished = {trial: row for trial, row in rows.items() if trial in planned and not is_cut_short(row, config)}
    # The seeds that would go on are those that learned most: without them the others would say too little of a cell.
    unfinished = {(row.job.phase, row.job.cell) for trial, row in rows.items() if trial in planned and is_cut_short(row, config)}
    rows = {trial: row for trial, row in finished.items() if (row.job.phase, row.job.cell) not in unfinished}
    tasks = {task: _summarize_task(config, rows, task) for task in config.tasks}
    gradients = _summarize_gradients(config, rows)
    return {
        "kind": "memory",
        "delays": config.probe.delays,
        "runs": count_runs(planned_memory_runs(config), finished),
        "tasks": tasks,
        "gradients": gradients,
        "conclusion": [
            *(_sentence(config, task, cells) for task, cells in tasks.items() if cells),
            *_gradient_sentences(config.probe.distance // 2, gradients, tasks),
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
    """By cell, the geometric means over the seeds of the norms at each distance, untrained and trained, and the least and largest norm."""
    cells: dict[str, Summary] = {}
    for cell in config.chosen_cells:
        found = _complete(rows, GRADIENTS, cell)
        if found:
            cells[cell] = {}
            for kind in ("untrained", "trained"):
                columns = list(zip(*(row.values[kind] for row in found), strict=True))
                cells[cell] |= {kind: list(map(_geometric_mean, columns)), f"{kind}_range": [[min(each), max(each)] for each in columns]}
            cells[cell]["learned"] = sum(row.values["solved"] for row in found) / len(found)
    return cells


def _geometric_mean(values: Sequence[float]) -> float:
    """A norm of 0, beyond the range of floats, counts as 1e-45."""
    return math.exp(sum(math.log(max(value, 1e-45)) for value in values) / len(values))


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
    ranges = {cell: norms["trained_range"][distance - 1] for cell, norms in gradients.items()}
    parts = [f"{before[cell]:.2g} in {cell} (after training {after[cell]:.2g}, {_between(ranges[cell])} over the seeds)" for cell in named]
    yield f"Over {distance} steps the gradient of an untrained cell has shrunk or grown to {', '.join(parts)}; 1 would be unchanged."
    for when, norms in (("Before training", before), ("After training", after)):
        growing = [f"{cell} ({norm:.2g})" for cell, norm in norms.items() if norm > 1]
        if growing:
            yield f"{when} it grows in {', '.join(growing)}."
    yield from _correlation_sentences(before, tasks)


def _between(ends: Sequence[float]) -> str:
    return " to ".join(f"{end:.2g}" for end in ends)


def _correlation_sentences(norms: Mapping[str, float], tasks: Mapping[str, Mapping[str, Summary]]) -> Iterator[str]:
    """Whether cells with larger gradients learn longer delays of each task: Spearman's rank correlation, with Holm's correction."""
    found = {}
    for task, cells in tasks.items():
        common = [cell for cell in cells if cell in norms]
        delays = [fmean(cells[cell]["longest"]) for cell in common]
        if len(common) >= MIN_CELLS_TO_CORRELATE and len(set(delays)) == 1:
            yield f"All cells learn the same delays of {task}."
        elif len(common) >= MIN_CELLS_TO_CORRELATE:
            rho, p = spearmanr([norms[cell] for cell in common], delays)
            if math.isfinite(rho):  # not so where all norms are alike
                found[task] = rho, p, len(common)
    adjusted = multipletests([p for _, p, _ in found.values()], SIGNIFICANCE, method="holm")[1] if found else ()
    for (task, (rho, _, count)), p in zip(found.items(), adjusted, strict=True):
        relation = "says nothing of" if p >= SIGNIFICANCE else "goes with longer" if rho > 0 else "goes with shorter"
        yield (
            f"A larger gradient before training {relation} delays of {task} (rank correlation {rho:+.2f} over {count} cells, "
            f"Holm's p {p:.2g}; variants of one cell are not independent, so the true p is larger)."
        )
