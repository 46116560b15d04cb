"""The directive `bench`: the last results of a benchmark, as its --json has written them, as a table under the machine's name."""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FOLDER = Path(__file__).parents[1] / "runs" / "speed"


class Bench(SphinxDirective):
    """The rows of a file of docs/runs/speed.

    Options:
        columns: keys, separated by |, each perhaps with a heading, key = heading; a dot leads into an object
        machine: where the file does not name it
    """

    required_arguments = 1
    option_spec = {"columns": directives.unchanged_required, "machine": directives.unchanged}  # noqa: RUF012 (docutils' own way)

    def run(self) -> list[nodes.Node]:
        """The table, by way of the page's own markup."""
        path = FOLDER / self.arguments[0]
        self.env.note_dependency(str(path))
        lines = table_of(json.loads(path.read_text(encoding="utf-8")), self.options["columns"], self.options.get("machine", ""))
        parent = nodes.Element()
        self.state.nested_parse(StringList(lines, str(path)), self.content_offset, parent)
        return parent.children


def table_of(rows: list[dict[str, Any]], columns: str, machine: str = "") -> list[str]:
    """The lines of a table; columns that are empty in all rows are left out, and rows that have nothing but their name."""
    pairs = [(key.strip(), heading.strip() or key.strip()) for key, _, heading in (one.partition("=") for one in columns.split("|"))]
    cells = {heading: [_cell(row, key) for row in rows] for key, heading in pairs}
    cells = {heading: column for heading, column in cells.items() if any(column)}
    lines = [
        f"| {' | '.join(cells)} |",
        "|---" * len(cells) + "|",
        *(f"| {' | '.join(row)} |" for row in zip(*cells.values(), strict=True) if any(row[1:])),
    ]
    return [*_machine(rows[0], machine), "", *lines]


def _machine(row: dict[str, Any], machine: str) -> list[str]:
    rates = [f"{name} {rate:,} GFLOP/s" for name, rate in row.get("gflops", {}).items()]
    text = ", ".join([machine or row.get("machine", ""), *rates])
    return [f"*{text}*"] if text else []


def _cell(row: dict[str, Any], key: str) -> str:
    """A value as text, numbers with three digits that count; null is nothing, and an option is code, so that it keeps its dashes."""
    value: Any = row
    for name in key.split("."):
        value = value.get(name, "") if isinstance(value, dict) else ""
    if isinstance(value, float):
        return f"{value:#.3g}".removesuffix(".") if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    text = "" if value is None else str(value).replace("|", "\\|")
    return f"`{text}`" if text.startswith("--") else text


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("bench", Bench)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
