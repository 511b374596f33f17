# Needs python3 (3.11 or newer) and make; everything else is put into .venv and .tools.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS ?= tests
MINUTES ?= 10
UV_VERSION := 0.13.9
OWN_UV := .tools/bin/uv
UV := $(or $(shell command -v uv 2>/dev/null),$(OWN_UV))
NEEDED_UV := $(filter $(OWN_UV),$(UV))
export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE ?= copy

.DEFAULT_GOAL := help
.PHONY: help run test lint audit bench drill screenshots lock python

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/.ready ## the whole system on http://127.0.0.1:8000, with demo data; Ctrl-C ends it
	@$(BIN)/huntaze dev

test: $(VENV)/.ready ## all tests, two at a time; TESTS=tests/unit for some
	@$(BIN)/pytest -n 2 --dist loadfile $(TESTS)

lint: $(VENV)/.ready ## style, types and who may import whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

audit: $(VENV)/.ready ## known holes in the locked packages; asks the package index
	@$(BIN)/pip-audit --progress-spinner off --require-hashes --disable-pip -r requirements.lock

bench: $(VENV)/.ready ## measure pacing, cost and recovery
	@$(BIN)/python -m bench

drill: $(VENV)/.ready ## let everything fail under load; MINUTES=3 SEED=7 for a certain one
	@PYTHONPATH=.:tests:tests/e2e $(BIN)/python -m drill --minutes $(MINUTES) \
	    $(SEED:%=--seed %) $(KEEP:%=--keep %)

screenshots: $(VENV)/.ready ## pictures of the pages in docs/screenshots; needs chromium
	@PYTHONPATH=.:tests/e2e:tests/browser $(BIN)/python tests/browser/screenshots.py

lock: | $(NEEDED_UV) ## pin what pyproject.toml asks for
	@"$(UV)" pip compile -q --universal --python-version 3.11 --generate-hashes --group dev \
	    pyproject.toml -o requirements.lock

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(MAKE) -s python $(NEEDED_UV)
	@echo "Installing the locked packages into $(VENV)"
	@$(BIN)/python -c '' 2>/dev/null || "$(UV)" venv -q --clear --python "$(PYTHON)" $(VENV)
	@"$(UV)" pip sync -q --compile-bytecode --python $(BIN)/python \
	    --require-hashes requirements.lock
	@"$(UV)" pip install -q --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# An old interpreter would fail later, and less clearly.
python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "Huntaze needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1)." >&2; \
	    echo "Install one and name it: make PYTHON=python3.12 run" >&2; exit 1; }

# Debian's python3 may come without ensurepip, hence without venv; pip alone then suffices.
$(OWN_UV): | python
	@echo "Installing uv into .tools"
	@rm -rf .tools
	@{ $(PYTHON) -m venv .tools && .tools/bin/python -m pip install -q uv==$(UV_VERSION); } \
	    >/dev/null 2>&1 || { rm -rf .tools; \
	    $(PYTHON) -m pip install -q --target .tools uv==$(UV_VERSION); } \
	    || { echo "Install uv, or python3 with pip, and try again." >&2; exit 1; }
