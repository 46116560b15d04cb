"""Imports point one way: a part of the package imports only parts of lower layers."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "showattend"
# Lowest first. Parts of one layer do not import each other.
LAYERS = [
    {"arrays", "batching", "errors", "version", "geometry"},
    {"files", "console", "vocabulary", "registry", "config_checks", "isolation"},
    {"generation_config"},
    {"ops"},
    {"cells", "attention", "encoders", "decoding"},
    {"models"},
    {"data"},
    {"model_files"},
    {"features", "pretrained", "metrics"},
    {"inference"},
    {"grounding", "visualize", "runtime"},
    {"training"},
    {"demo", "app", "export", "bulk"},
    {"study"},
    {"cli"},
]
LAYER_OF = {part: layer for layer, parts in enumerate(LAYERS) for part in parts}
MODULES = sorted(PACKAGE.rglob("*.py"))


# The notebook display of a caption is drawn by visualize, imported when it is shown.
EXCEPTIONS = {("inference/caption.py", "showattend.visualize")}


def imports(path: Path) -> set[str]:
    """All that a file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_lower_layers(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    for name in imports(path):
        if name.startswith("showattend.") and (str(path.relative_to(PACKAGE)), name) not in EXCEPTIONS:
            other = name.split(".")[1]
            assert other == part or LAYER_OF[other] < LAYER_OF[part], f"{path.name} imports {name}, which is in no lower layer"


def test_every_part_of_the_package_has_a_layer() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert parts - {"__init__", "__main__"} == set(LAYER_OF)


@pytest.mark.parametrize(
    ("library", "part"),
    [
        ("lightning", "training"),
        ("matplotlib", "visualize"),
        ("torchvision", "encoders"),
        ("scipy", "study"),
        ("gradio", "app"),
        ("ray", "bulk"),
    ],
)
def test_only_one_part_imports_a_large_library(library: str, part: str) -> None:
    users = {path.relative_to(PACKAGE).parts[0] for path in MODULES if library in {name.split(".")[0] for name in imports(path)}}
    assert users == {part}
