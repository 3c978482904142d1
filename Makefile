# make demo, make test: each sets up what it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/installed

.DEFAULT_GOAL := help
.PHONY: help install demo demo-full test faults lint format bases sample clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("error: Python 3.11 or later is needed, this is " + sys.version.split()[0] + "; name another with make PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(STAMP)  ## Make .venv with the tested versions

demo: $(STAMP)  ## Fine-tune three tiny models, answer, ensemble: about five minutes on two cores
	$(BIN)/python scripts/demo.py

demo-full: $(STAMP)  ## The same, and the strategies that learn from out-of-fold predictions: about a quarter of an hour
	$(BIN)/python scripts/demo.py --full

test: $(STAMP)  ## Run the test suite
	$(BIN)/python -m pytest

faults: $(STAMP)  ## Kill the commands, fill their disk, damage their files; the table of docs/reliability.md
	$(BIN)/python -m pytest -m faults tests/faults --faults-table docs/reliability.md

lint: $(STAMP)  ## Style, imports and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

sample: $(STAMP)  ## Write the sample data set again
	$(BIN)/python scripts/make_sample_data.py

bases: $(STAMP)  ## Pre-train the three tiny bases again: about seven hours on one core
	$(BIN)/python scripts/make_tiny_bases.py

clean:  ## Remove the demo's runs and caches, not the environment, other runs nor a half-trained base
	rm -rf runs/demo .pytest_cache .mypy_cache .ruff_cache
