# Every command sets up what it needs: a machine with Python 3.11+, make and a package index is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two workers at least: the suite has process-level tests that only wait.
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help setup backtest fmt lint type test test-slow bench bench-peers clean lock

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The run stamp holds what a user needs, the dev stamp adds what the checks need. Both install exactly the lock.
$(VENV)/.run: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Fillwright needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@echo "compiling what runs compiled, once"
	@$(BIN)/python -m execution.warm_up || true
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

setup: $(VENV)/.run  ## make .venv with the locked packages

backtest: $(VENV)/.run  ## run the nine-month example on the sample market
	@$(BIN)/python -m backtest.runner --strategy trendline_break_v1 --symbol ATOM/USDT \
		--start 2025-01-01 --end 2025-09-30 --execution-config config/execution.yaml --capital 10000

fmt: $(VENV)/.dev  ## format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet .

lint: $(VENV)/.dev  ## ruff and the import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

type: $(VENV)/.dev  ## mypy --strict
	@$(BIN)/mypy

test: $(VENV)/.dev  ## the tests (below 4 minutes on 2 cores)
	@$(BIN)/pytest -n $(WORKERS) -m "not slow"

test-slow: $(VENV)/.dev  ## exhaustive and statistical runs
	@$(BIN)/pytest -n $(WORKERS) -m slow

bench: $(VENV)/.dev  ## print every benchmark's figures
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

bench-peers: $(VENV)/.dev  ## other engines on the same work, in turn (an hour)
	@$(BIN)/python -m benchmarks.peers

lock: $(VENV)/.dev  ## resolve the dependencies anew
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--group pyproject.toml:dev --all-extras pyproject.toml -o requirements-dev.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--group pyproject.toml:build pyproject.toml -c requirements-dev.lock -o requirements.lock

clean:  ## remove what the commands made
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache var dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
