# Everything a person or CI runs. Needs: Python 3.11 or newer with venv and pip, and make.
# `make` alone says what there is.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

BIN     := .venv/bin
UV      := 0.13.8
WORKERS ?= 4

# The first of these that runs and is new enough (a pyenv shim can be on the PATH and still refuse to run).
find_python = for p in $(PYTHON) python3.11 python3 python; do \
	  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done

# ---------------------------------------------------------------- for everybody

.PHONY: help
help:  ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv
venv: .venv/.installed  ## make .venv with everything in it (about a minute; seconds where packages are cached)
	@:

# uv installs the lock in seconds, pip in a minute or two. Where uv cannot be had or cannot reach a registry (it does not
# read pip's configuration) pip does the same work: both check every hash. --no-deps because the lock is complete, and
# because pip 23 trips over sqlalchemy[asyncio] when it resolves a lock with hashes (23.2.1: tried; 26.3: fine). Compiled
# at once (15 s): where PYTHONDONTWRITEBYTECODE is set, every process would compile 300 modules, for a second.
.venv/.installed: requirements-dev.lock pyproject.toml
	@if [ ! -x $(BIN)/python ]; then \
	  py=$$($(find_python)); \
	  [ -n "$$py" ] || { echo "make venv: needs Python 3.11 or newer as python3.11 or python3" >&2; exit 1; }; \
	  echo "$$py -m venv .venv"; "$$py" -m venv .venv; \
	fi
	@$(BIN)/uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV)" \
	  || echo "make venv: uv cannot be had here"
	@if [ -x $(BIN)/uv ] && UV_HTTP_RETRIES=1 $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements-dev.lock; \
	then \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
	  echo "make venv: without uv; the same with pip (a minute or two)"; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-dev.lock && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@touch $@

.PHONY: demo
demo: venv  ## a local exchange, a backfill by the Prefect flow, and where to look
	@$(BIN)/python -m htxdata demo

# ---------------------------------------------------------------- checks (all of them: .ci/run)

# A file at a time, in the order of tests/conftest.py, what waits first: xdist would begin with the files of most tests, and
# end with four workers that wait for one.
spread := --dist loadfile --no-loadscope-reorder

# With bytecode: four workers (many tests wait) and a hundred processes would each compile everything anew (a minute in all).
.PHONY: test
test: venv  ## the default suite (make test WORKERS=0 ARGS='-k paging -x')
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n $(WORKERS) $(spread) $(ARGS)

.PHONY: wide
wide: venv  ## the same laws again, for every venue and fault (in .ci/run too)
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -m "wide and not slow and not benchmark" -n $(WORKERS) $(spread) $(ARGS)

.PHONY: slow
slow: venv  ## the tests marked slow
	@$(BIN)/python -m pytest -m slow $(ARGS)

.PHONY: chaos
chaos: venv  ## kill it at every instant, fill the disk, break the exchange
	@$(BIN)/python -m pytest -m "not live" tests/chaos $(ARGS)

COUNT ?= 1000

.PHONY: fuzz
fuzz: venv  ## spoil everything that is read, COUNT times each (make fuzz COUNT=100000)
	@HTXDATA_FUZZ=$(COUNT) $(BIN)/python -m pytest -m slow -s tests/hostile/test_fuzz.py $(ARGS)

.PHONY: browser
browser: venv  ## the report in a headless Chromium (skipped where there is none)
	@$(BIN)/python -m pytest -m slow tests/browser -rs $(ARGS)

.PHONY: engines
engines: venv  ## every export, loaded by the backtester itself (needs the package registry; minutes)
	@$(BIN)/python -m pytest -m slow tests/research/feeds/engines.py $(ARGS)

.PHONY: bench
bench: venv  ## measure, and print the figures
	@$(BIN)/python -m pytest -m benchmark -s $(ARGS)

.PHONY: lint
lint: venv  ## ruff
	@$(BIN)/ruff check .

.PHONY: format
format: venv  ## ruff, mending what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: types
types: venv  ## mypy --strict
	@$(BIN)/mypy

.PHONY: imports
imports: venv  ## who may import whom (import-linter)
	@$(BIN)/lint-imports

# ---------------------------------------------------------------- what is generated

.PHONY: docs
docs: venv  ## write the data dictionary
	@$(BIN)/python -m htxdata.schema.dictionary > data/.dictionary
	@mv data/.dictionary data/README.md

# protoc is pinned (pyproject.toml, grpcio-tools): what it writes says which version wrote it.
gateway = htxdata/venues/permanent/gateway
protoc = $(BIN)/python -m grpc_tools.protoc -I. $(gateway).proto

.PHONY: proto
proto: venv  ## write the protobuf module of htx-permanent
	@$(protoc) --python_out=. --pyi_out=.

.PHONY: docs-check
docs-check: venv  ## is what is generated in step: the data dictionary, the protobuf module?
	@$(BIN)/python -m htxdata.schema.dictionary > .venv/.dictionary
	@diff -u data/README.md .venv/.dictionary || { echo "data/README.md is stale: run 'make docs'" >&2; exit 1; }
	@echo "data/README.md is up to date"
	@mkdir -p .venv/.proto && $(protoc) --python_out=.venv/.proto --pyi_out=.venv/.proto
	@for it in $(gateway)_pb2.py $(gateway)_pb2.pyi; do diff -u $$it .venv/.proto/$$it \
	  || { echo "$$it is stale: run 'make proto'" >&2; exit 1; }; done
	@echo "$(gateway)_pb2.py is up to date"

# LOCK_ARGS=--upgrade takes the newest that pyproject.toml allows. The second is bound by the first: what is tested is what
# a user installs.
lock_one = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" $(LOCK_ARGS)

.PHONY: lock
lock: venv  ## resolve pyproject.toml again (make lock LOCK_ARGS=--upgrade)
	@$(lock_one) --extra test --extra lint -o requirements-dev.lock
	@$(lock_one) --constraints requirements-dev.lock -o requirements.lock

# ---------------------------------------------------------------- away with it

.PHONY: clean
clean:  ## remove what tools left behind; .venv and the lake stay
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	@find . -path ./.venv -prune -o -path ./data -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
