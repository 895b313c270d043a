# Every target sets itself up: it makes .venv and installs into it when that is missing or out of date.
PYTHON ?= python3
PIP_INSTALL_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Two processes of one thread each beat one process whose BLAS and torch threads fight over two cores.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint clean

help:
	@echo "make demo   fit a real microlensing light curve; results in build/demo/"
	@echo "make test   lint, type checks, tests and doctests"
	@echo "make lint   ruff and mypy only"
	@echo "make clean  remove build/ and caches, keep .venv"

$(STAMP): setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_INSTALL_FLAGS) -c constraints.txt -e ".[tests,examples]"
	touch $@

demo: $(STAMP)
	$(BIN)/python examples/ogle_2008_blg_092.py

lint: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

test: lint
	$(BIN)/python -m pytest -n 2

clean:
	rm -rf build .mypy_cache .pytest_cache .ruff_cache
