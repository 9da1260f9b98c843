# Every target sets up what it needs in .venv; PYTHON chooses the interpreter that .venv is made from.
PYTHON ?= python3
BIN := .venv/bin
# Processes that share the tests, a file each at a time, in the order of the files: the long ones are not last.
WORKERS ?= 2
SPREAD = -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: setup demo test test-core test-slow docs lint bench figures tables clean

setup: .venv/.done

.venv/.done: requirements.txt pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[light,dev]"
	touch $@

demo: setup
	$(BIN)/python train.py --config configs/demo.yaml --overwrite

test: setup
	$(BIN)/python -m pytest -m "not slow" $(SPREAD)

test-core: setup
	$(BIN)/python -m pytest -m "not slow" $(SPREAD) tests/core tests/data tests/models

test-slow: setup
	$(BIN)/python -m pytest -m slow

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: setup
	$(BIN)/python -m benchmarks.run

figures: demo
	$(BIN)/python train.py --config configs/demo_cycles.yaml --overwrite
	$(BIN)/python -m tools.figures

tables: setup
	$(BIN)/python -m tools.fill_tables

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis *.egg-info
