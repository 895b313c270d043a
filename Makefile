# Every target sets itself up: it makes .venv and installs into it when that is missing or out of date.
PYTHON ?= python3
PIP_INSTALL_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PLUGINS := $(wildcard plugins/*/setup.cfg)
PLUGIN_STAMP := $(VENV)/.installed-plugins
DOCS_STAMP := $(VENV)/.installed-docs

# Two processes of one thread each beat one process whose BLAS and torch threads fight over two cores.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs clean

help:
	@echo "make demo   fit a real microlensing light curve; results in build/demo/"
	@echo "make test   lint, type checks, tests and doctests"
	@echo "make lint   ruff, mypy and vermin only"
	@echo "make docs   the documentation; build/docs/index.html"
	@echo "make clean  remove build/ and caches, keep .venv"

$(STAMP): setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_INSTALL_FLAGS) -c constraints.txt -e ".[tests,examples]"
	touch $@

# Only what tests need: the demo does without plugins and what they ask for.
$(PLUGIN_STAMP): $(STAMP) $(PLUGINS)
	$(BIN)/python -m pip install $(PIP_INSTALL_FLAGS) -c constraints.txt $(PLUGINS:%/setup.cfg=-e "%[tests]")
	touch $@

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install $(PIP_INSTALL_FLAGS) -c constraints.txt -e ".[docs]"
	touch $@

demo: $(STAMP)
	$(BIN)/python examples/ogle_2008_blg_092.py

lint: $(PLUGIN_STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/vermin -q --no-tips --violations -t=3.10- nbi_sampler plugins

# The tests of the package know of no plugin that is installed; those of the plugins do, and each distribution's run in
# processes of their own: what one imports another may not bear.
test: export NBI_TENSORBOARD = off
test: lint
	$(BIN)/python -m pytest -n 2
	for tests in plugins/*/tests; do $(BIN)/python -m pytest -n 2 $$tests || exit 1; done

# Pages made of docstrings are written again, because those of files that are gone would stay.
docs: $(DOCS_STAMP)
	rm -rf docs/reference/modules build/docs
	$(BIN)/python -m sphinx -q -W --keep-going -j 2 -b html docs build/docs
	@echo "build/docs/index.html"

clean:
	rm -rf build docs/reference/modules .mypy_cache .pytest_cache .ruff_cache
