# Every target sets up what it needs in .venv, the demo no tools; PYTHON chooses the interpreter that .venv is made from.
PYTHON ?= python3
BIN := .venv/bin
# Processes that share the tests, a file each at a time, in the order of the files: the long ones are not last.
WORKERS ?= 2
SPREAD = -n $(WORKERS) --dist loadfile --no-loadscope-reorder

PIP = $(BIN)/python -m pip install --disable-pip-version-check

.PHONY: setup setup-dev demo test test-core test-slow docs lint bench figures tables clean

setup: .venv/.done
setup-dev: .venv/.done-dev

.venv/.done: requirements.txt pyproject.toml setup.py
	test -d .venv || $(PYTHON) -m venv .venv
	$(PIP) -e .
	touch $@

.venv/.done-dev: .venv/.done
	$(PIP) -e ".[light,dev]"
	touch $@

demo: setup
	$(BIN)/rws train --config demo --overwrite

test: setup-dev
	$(BIN)/python -m pytest -m "not slow" $(SPREAD)

test-core: setup-dev
	$(BIN)/python -m pytest -m "not slow" $(SPREAD) tests/core tests/data tests/models

test-slow: setup-dev
	$(BIN)/python -m pytest -m slow

docs: setup-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: setup-dev
	$(BIN)/python -m benchmarks.run

figures: demo
	$(BIN)/rws train --config demo_cycles --overwrite
	$(BIN)/python -m tools.figures

tables: setup-dev
	$(BIN)/python -m tools.fill_tables

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis *.egg-info
