# `make demo` and `make test` each do all the set-up they need: a virtual environment in .venv, then the install.
PYTHON ?= python3
BIN := .venv/bin

# Of the reduced reference study: 20 ImageNet classes, as in results/reference.
IMAGES ?= ../shared/data/images/imagenet20_128_webp80.npz

.PHONY: demo reduced test lint benchmark

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/.installed
	$(BIN)/planner run --study demo --trials 18 --epochs 4 --window 1M 6M

reduced: .venv/.installed
	OMP_NUM_THREADS=1 $(BIN)/planner run --study reduced --data npz:$(IMAGES) --resolution 90 --window 1M 4M \
		--r 0.35 1.4 --d 0.35 2.8 --w 0.1 2.8 --trials 24 --epochs 4 --share 0.25
	OMP_NUM_THREADS=1 $(BIN)/planner compare --study reduced --flops 2M --methods compound,width,formula --seeds 3 --final

# A process for each core, one torch thread each: two busy processes with two threads each crawl on two cores.
test: .venv/.installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: .venv/.installed
	$(BIN)/pytest -m benchmark -s
