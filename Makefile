# `make demo` and `make test` are all a fresh machine needs; both make .venv themselves.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= demo-out

.PHONY: demo test test-slow coverage lint docs clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,dask,slurm]"
	touch $@

demo: .venv/installed
	$(BIN)/pdae-sim demo --out $(OUT) --force

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m "not slow"

test-slow: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slow

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m experiments.guide --out site

clean:
	rm -rf .venv demo-out site build dist *.egg-info
