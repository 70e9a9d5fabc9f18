# `make demo` and `make test` each do all the set-up they need: a virtual environment in .venv, then the install.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint benchmark

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/.installed
	$(BIN)/planner run --study demo --trials 18 --epochs 4 --window 1M 6M

# A process for each core, one torch thread each: two busy processes with two threads each crawl on two cores.
test: .venv/.installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: .venv/.installed
	$(BIN)/pytest -m benchmark -s
