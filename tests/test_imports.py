"""The house's rule: imports point one way."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "showattend"
FLOORS = [
    {"errors", "version", "geometry"},
    {"files", "console", "vocabulary", "registry", "config_checks"},
    {"generation_config"},
    {"ops"},
    {"cells", "attention", "encoders", "decoding"},
    {"models"},
    {"data"},
    {"features", "pretrained", "metrics"},
    {"inference"},
    {"grounding", "visualize"},
    {"training"},
    {"demo"},
    {"cli"},
]
ROOMS = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(PACKAGE.rglob("*.py"))


# A caption shows itself in notebooks, by what draws captions.
EXCEPTIONS = {("inference/caption.py", "showattend.visualize")}


def room(name: str) -> str:
    return name.split(".")[1]


def imports(path: Path) -> set[str]:
    """All that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_from_below_only(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own in ("__init__", "__main__"):
        return
    for name in imports(path):
        if (str(path.relative_to(PACKAGE)), name) in EXCEPTIONS:
            continue
        if name.startswith("showattend.") and room(name) != own:
            assert ROOMS[room(name)] < ROOMS[own], f"{path.name} imports {name}, which lies above it or beside it"


def test_lightning_and_drawing_stay_in_their_rooms() -> None:
    for path in MODULES:
        names = {name.split(".")[0] for name in imports(path)}
        inside = path.relative_to(PACKAGE)
        if inside.parts[0] != "training":
            assert "lightning" not in names, path
        if inside.parts[0] != "visualize":
            assert "matplotlib" not in names, path
        if inside.parts[0] != "encoders":
            assert "torchvision" not in names, path
