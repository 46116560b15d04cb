"""A page for each recurrent cell, generated from its class: equations, parameters, data flow, source."""

from pathlib import Path

from cell_flow import draw_step
from equations import to_latex
from sphinx.application import Sphinx

from showattend.cells import Stack, cell_names, find_cell, make_cell
from showattend.cells.catalogue import describe_cell, equation_lines, equations

INPUT, HIDDEN = 1024, 512  # the sizes of the parameter tables
FOLDER = "cells"
ROLES = {"weight_ih": "W, multiplies the input", "weight_hh": "U, multiplies the state h", "bias": "b"}


def write_pages(app: Sphinx) -> None:
    """Write docs/cells/NAME.md for every registered cell; the folder is not kept in git."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    for name in cell_names():
        page = folder / f"{name}.md"
        text = _page(name)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def _page(name: str) -> str:
    cell = describe_cell(name, INPUT, HIDDEN)
    summary, formulas, rest = _docstring(name)
    layers = cell["layers"]
    command = f"--model.decoder.cell {name}" + (f" --model.decoder.layers {layers}" if layers > 1 else "")
    roles = {**ROLES, **cell["parameter_roles"]}
    rows = "\n".join(
        f"| `{key}` | {shape} | {count:,} | {roles.get(key.rpartition('.')[2], '')} |" for key, shape, count in _parameters(name)
    )
    return f"""# `{name}`

{summary}

{formulas}

{rest}

| | |
|---|---|
| state | {", ".join(f"`{entry}`" for entry in cell["state"])} |
| gates | {", ".join(f"`{gate}`" for gate in cell["gates"])} |
| options | {", ".join(f"`{option}`" for option in cell["options"])} |
| source | {cell["source"]} |
| parameters | {cell["parameters"]:,} at {INPUT} inputs and {HIDDEN} hidden units |

## Data flow of one step

Red letters name the block of pre-activations that an arrow carries; a = W x + U h + b.

```{{raw}} html
<div class="cell-flow">{_picture(name)}</div>
```

## Parameters

| tensor | shape | numbers | role |
|---|---|---|---|
{rows}

## Train it

```console
$ showattend fit --config flickr8k --data.root DIR {command}
```
"""


def _docstring(name: str) -> tuple[str, str, str]:
    """First paragraph, equations as one aligned block of LaTeX, and the remaining paragraphs."""
    paragraphs = equations(name).split("\n\n")
    prose = [paragraph for paragraph in paragraphs[1:] if not paragraph.startswith(("    ", "Source:"))]
    blocks = [f"$$\n{to_latex(line)}\n$$" for line in equation_lines(name)]
    return paragraphs[0], "\n\n".join(blocks), "\n\n".join(prose)


def _parameters(name: str) -> list[tuple[str, str, int]]:
    cell = make_cell(name, (INPUT,), HIDDEN, layers=find_cell(name).min_layers)
    return [(key, " x ".join(map(str, value.shape)), value.numel()) for key, value in cell.named_parameters()]


def _picture(name: str) -> str:
    """One step; of a cell that needs several layers, a step of the top one."""
    cell = make_cell(name, (4,), 8, layers=find_cell(name).min_layers).eval()
    return draw_step(cell.layers[-1] if isinstance(cell, Stack) else cell)  # type: ignore[arg-type]


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for documents."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
