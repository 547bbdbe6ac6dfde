# `make` prints what there is. Everything runs in .venv, which is made on first use from constraints.txt and again when that changes.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help venv demo demo-tryton test lint types floors docs ci bench soak chaos soak-tryton example-4tu example-adventureworks constraints clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.base ## two simulated plants, a sandbox ERP with faults, a page; ctrl-C ends it
	@$(BIN)/synchromesh demo

demo-tryton: $(VENV)/.tryton ## the same on a real ERP (Tryton), set up for you
	@$(BIN)/synchromesh demo --erp tryton

test: $(VENV)/.dev ## all tests, on two cores
	$(BIN)/pytest -n 2

lint: $(VENV)/.dev ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## types, strictly
	$(BIN)/mypy -p synchromesh

floors: $(VENV)/.dev ## packages import only what stands above them
	$(BIN)/pytest tests/test_floors.py

docs: $(VENV)/.dev ## write the generated pages of docs/reference again
	$(BIN)/python docs/generate.py

ci: ## what the continuous integration runs
	bash .ci/run

bench: $(VENV)/.dev ## every figure, beside the machine's raw loop
	@$(BIN)/synchromesh bench

soak: $(VENV)/.dev ## the simulation on many seeds (SEEDS=1000)
	@$(BIN)/synchromesh simulate --seeds $(or $(SEEDS),1000)

chaos: $(VENV)/.dev ## real processes and servers under faults from a seed, judged by the auditor (SEED=1 MINUTES=5 RATE=100 LOG=jetstream)
	@$(BIN)/python -m tests.chaos --seed $(or $(SEED),1) --minutes $(or $(MINUTES),5) --rate $(or $(RATE),100) \
	  --log $(or $(LOG),jetstream) --state $(if $(filter sqlite,$(LOG)),sqlite,postgres)

soak-tryton: $(VENV)/.dev ## a real Tryton with broken lines, kills and restarts, with the module and without (RUNS=50 SEED=1)
	@$(BIN)/python -m tests.connectors.tryton.soak --runs $(or $(RUNS),50) --seed $(or $(SEED),1)

example-4tu: $(VENV)/.tryton ## real reports of a real factory into a real ERP: DATA=folder of the data set
	@test -n "$(DATA)" || { echo "say where the data set is: make example-4tu DATA=folder (examples/4tu/README.md says where it is published)"; exit 2; }
	@$(BIN)/python examples/4tu/run.py "$(DATA)"

example-adventureworks: $(VENV)/.base ## 20,000 real work orders against an ERP's ledger: DATA=folder of the data set
	@test -n "$(DATA)" || { echo "say where the data set is: make example-adventureworks DATA=folder (examples/adventureworks/README.md says where it is published)"; exit 2; }
	@$(BIN)/python examples/adventureworks/run.py "$(DATA)"

venv: $(VENV)/.dev ## only set everything up

constraints: $(VENV)/.dev ## pin what is installed now
	$(BIN)/pip freeze --exclude-editable | LC_ALL=C sort -f > constraints.txt

clean: ## remove what was made, but no data
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# One stamp for each set of extras. A larger set is also the smaller ones.
$(VENV)/.python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Synchromesh needs Python 3.11 or newer: install it, or say where it is with make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.base: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing Synchromesh"
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.tryton: $(VENV)/.base
	@echo "installing Tryton"
	@$(INSTALL) --editable '.[tryton]'
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing Synchromesh with everything that its tests need"
	@$(INSTALL) --editable '.[dev,postgresql,tryton]'
	@touch $(VENV)/.base $(VENV)/.tryton $@
