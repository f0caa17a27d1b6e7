# Each target sets itself up: a stamp in .venv remembers which extras are installed.
PYTHON ?= python3
VENV ?= .venv
# Further arguments of the command behind a target: make test ARGS=tests/pooling
ARGS ?=
BIN := $(VENV)/bin

.PHONY: quickstart test test-quick test-matrix targets test-targets check coverage docs documents format clean

quickstart: $(VENV)/.installed-experiments  ## train four small CNNs that differ in pooling, show the table
	$(BIN)/python -m experiments run configs/quickstart.toml $(ARGS)

test: $(VENV)/.installed-test  ## every kind of test, and the doctests
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not thorough" $(ARGS)

test-quick: $(VENV)/.installed-test  ## the library's fast tests, about one minute
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not thorough" tests/engine tests/pooling tests/nn tests/compat tests/test_window.py $(ARGS)

test-matrix:  ## `make test` on the oldest supported Python that this machine has, thorough tests too on the newest
	$(PYTHON) tools/matrix.py $(ARGS)

targets:  ## the compilers for TPU and CUDA, in a virtual environment of their own
	$(MAKE) .venv-targets/.installed-targets VENV=.venv-targets

test-targets: targets  ## compile every operator for TPU v5e, TPU v6e and H100
	.venv-targets/bin/python -m pytest -n 2 --dist worksteal tests/compilers $(ARGS)

check: $(VENV)/.installed-dev  ## formatting, lint, spelling, links between files, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/lychee --quiet --offline --include-fragments README.md CHANGELOG.md CONTRIBUTING.md docs
	$(BIN)/pyright --warnings

coverage: $(VENV)/.installed-dev  ## lines and branches of jaxpool/ that no test of the library runs
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not thorough" --cov --cov-report=term jaxpool tests --ignore=tests/experiments --ignore=tests/tools $(ARGS)

docs: $(VENV)/.installed-docs  ## the documentation site, in runs/docs; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict $(ARGS)

documents: $(VENV)/.installed-test  ## tables and pictures of README.md and docs/, anew from records and code
	$(BIN)/python -m tools

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "jaxpool needs Python 3.11 or newer; name one with PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	@touch $@
