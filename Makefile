# `make demo` and `make test` are all a fresh machine needs; both make .venv themselves.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= demo-out

.PHONY: demo test test-slow coverage lint docs results clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,dask,slurm]"
	-$(BIN)/python -c "import dcor"  # compiled and kept on disk here: two test workers at once may break what they keep
	touch $@

demo: .venv/installed
	$(BIN)/pdae-sim demo --out $(OUT) --force

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m "not slow"

test-slow: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slow

# Which lines of the library tests reach: few examples of each property, for tracing costs a third to a half as much again
# (next to nothing from Python 3.12 on, where the interpreter's own monitoring counts them).
coverage: .venv/installed
	OMP_NUM_THREADS=1 COVERAGE_CORE=$$($(BIN)/python -c "import sys; print('ctrace' if sys.version_info < (3, 12) else 'sysmon')") \
	$(BIN)/python -m pytest -q -n 2 -m "not slow and not statistical" --hypothesis-profile=coverage \
	--cov=pdae_sim --cov-report=term:skip-covered

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m experiments.guide --out site

# Tables and sentences of the READMEs from stored results.
results: .venv/installed
	$(BIN)/python -m experiments.quoted

clean:
	rm -rf .venv demo-out site build dist *.egg-info
