"""The fields of a NamedTuple, which our docstrings list one a line below the summary, as a section that napoleon understands."""

from typing import Any

from sphinx.application import Sphinx


def mark_fields(app: Sphinx, what: str, name: str, subject: Any, options: Any, lines: list[str]) -> None:
    """Put `Attributes:` above the first line that names a field, and indent the rest below it."""
    fields = getattr(subject, "_fields", ())
    first = next((row for row, line in enumerate(lines) if line.partition(":")[0] in fields), None)
    if first is not None and not any(line.strip() == "Attributes:" for line in lines):
        lines[first:] = ["Attributes:", *(f"    {line}" if line else line for line in lines[first:])]


def setup(app: Sphinx) -> dict[str, bool]:
    """Run before napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", mark_fields, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
