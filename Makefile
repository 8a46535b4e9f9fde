# `make demo` and `make test` are the two commands to know; each makes the environment first if it is missing.
SHELL := /bin/bash
PYTHON ?= python3
EXTRAS ?= cpu,train,test
BIN := .venv/bin
# uv takes wheels from a folder through UV_FIND_LINKS; pip's variable for the same is honoured.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# Without such a folder, uv chooses the torch build for this machine's GPU, or the CPU build.
ifeq ($(UV_FIND_LINKS),)
export UV_TORCH_BACKEND ?= auto
endif

.PHONY: setup demo test lint types bench proof serve clean help

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: .venv/ready ## the environment, in .venv

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[$(EXTRAS)]"
	touch $@

demo: .venv/ready ## a preference dataset from the demo model, in runs/demo
	$(BIN)/rookery build data/recipes/demo.yaml
	$(BIN)/rookery show runs/demo --rows 5

test: .venv/ready ## the tests, with real engines, Ray and Prefect
	$(BIN)/python -m pytest $(TESTS)

lint: .venv/ready ## lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready ## type check of a plain copy of the package: checkers do not follow an editable install
	rm -rf .cache/types && mkdir -p .cache/types
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --target .cache/types .
	cd .cache/types && MYPYPATH=. ../../$(BIN)/mypy --config-file ../../pyproject.toml -p rookery

bench: .venv/ready ## what speed costs and brings, each against a named baseline
	$(BIN)/python bench/throughput.py

proof: .venv/ready ## the slow proofs: kills at random moments
	$(BIN)/python -m pytest -m proof $(TESTS)

serve: .venv/ready ## Prefect's server, a worker and the deployments of prefect.yaml, until Ctrl-C
	$(BIN)/rookery serve

clean: ## runs and caches
	rm -rf runs .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
