# Two commands: `make demo` (install, then train, score, caption and show) and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow check format clean

demo: .venv/installed
	$(BIN)/showattend demo

# A process for each core, each with one thread: threads that share a small network wait for one another more than they work.
test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

slow: .venv/installed
	$(BIN)/python -m pytest -m slow

check: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The constraints are the versions that the tests have passed with: next year's machine gets the same.
.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,oracles]'
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
