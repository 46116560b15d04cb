"""What is handed out: the wheel and the source distribution hold all that runs, and the Dockerfile copies and installs what exists."""

import fnmatch
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
PACKAGE = TOP / "showattend"
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
DOCKERFILE = re.sub(r"\\\n", "", (TOP / "Dockerfile").read_text(encoding="utf-8"))


def package_files() -> set[str]:
    """All files of the package, by their paths in a wheel."""
    return {str(path.relative_to(TOP)) for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def test_every_file_of_the_package_that_is_no_code_is_in_the_package_data() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["showattend"]
    for name in package_files():
        inner = name.removeprefix("showattend/")
        assert name.endswith(".py") or any(fnmatch.fnmatchcase(inner, pattern) for pattern in patterns), name


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and a source distribution of a copy of the sources."""
    work = tmp_path_factory.mktemp("distribution")
    shutil.copytree(PACKAGE, work / "showattend", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE", "constraints.txt"):
        shutil.copy(TOP / name, work)
    build = "from setuptools import build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=work, check=True, capture_output=True)
    return work / "dist"


@pytest.mark.slow
def test_the_wheel_holds_the_package_its_licence_and_the_command(distributions: Path) -> None:
    (path,) = distributions.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        (entry_points,) = (wheel.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    own = {name for name in names if ".dist-info/" not in name}
    assert own == package_files()
    assert {"showattend/py.typed", "showattend/configs/shapes.yaml", "showattend/export/web/index.html"} < own
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert "showattend = showattend.cli.main:run" in entry_points


@pytest.mark.slow
def test_the_source_distribution_holds_what_a_wheel_is_built_from_and_no_half_of_the_tests(distributions: Path) -> None:
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames() if not archive.getmember(name).isdir()}
    assert package_files() < names
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt"} < names
    assert not [name for name in names if name.startswith("tests/")]


def test_what_the_dockerfile_copies_exists_and_is_sent_to_the_build() -> None:
    sent = {line.removeprefix("!") for line in (TOP / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M) for name in line.split()[:-1]}
    assert copied == sent
    assert all((TOP / name).exists() for name in copied)


def test_each_stage_that_is_run_ends_as_another_user_than_root_and_has_extras_that_exist() -> None:
    stages = dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.M | re.S))
    assert list(stages) == ["wheel", "base", "cuda", "cpu"]  # the last one is built by default
    assert 'ENTRYPOINT ["showattend"]' in stages["base"]
    for name in ("cuda", "cpu"):
        assert stages[name].strip().endswith("USER 1000")
        (extras,) = re.findall(r"^ARG EXTRAS=(\S+)$", stages[name], re.M)
        assert set(extras.split(",")) <= PROJECT["project"]["optional-dependencies"].keys()
        assert stages[name].count("--constraint /opt/constraints.txt") == stages[name].count("pip install") == 2
