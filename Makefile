# Two commands: `make demo` (install, then train, evaluate, caption and show) and `make test`.
PYTHON ?= python3
BIN := .venv/bin
PYTEST_OPTIONS := --numprocesses auto --maxprocesses 4

.PHONY: demo test slow check lint format docs test-lowest coverage torture soak dist clean

demo: .venv/installed
	$(BIN)/showattend demo

# One process for each core with one thread each: threads that share a small network wait for each other more than they work.
test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_OPTIONS)

slow: .venv/installed
	$(BIN)/python -m pytest -m slow -o faulthandler_timeout=7200

check: lint
	$(BIN)/python scripts/audit.py

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Strict: a warning is an error. The site works from the disk, offline: open docs/_build/html/index.html.
docs: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs docs/_build/html

# The suite with the oldest versions that pyproject.toml allows, in an environment of its own.
test-lowest:
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --constraint constraints-lowest.txt --editable '.[dev,oracles]'
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest $(PYTEST_OPTIONS)

# Broken photos, annotations, models and configurations, kills and full disks: the table of docs/robustness.md. `make test` runs a sample.
torture: .venv/installed
	$(BIN)/python -m scripts.torture

# A hundred thousand photos through one `showattend caption`; memory over time.
soak: .venv/installed
	$(BIN)/python -m scripts.torture.soak

coverage: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_OPTIONS) --cov=showattend --cov-report=term

# The wheel and the source distribution; CONTRIBUTING.md says how a release is made of them.
dist:
	test -x .venv-release/bin/python || $(PYTHON) -m venv .venv-release
	.venv-release/bin/python -m pip install --quiet 'build>=1.2,<2' 'twine>=6,<8'
	rm -rf dist build
	.venv-release/bin/python -m build
	.venv-release/bin/python -m twine check --strict dist/*

# The constraints are the versions that the tests have passed with: next year's machine gets the same.
.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,oracles]'
	touch $@

clean:
	rm -rf .venv .venv-lowest .venv-release build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis docs/_build docs/cells
