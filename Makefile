# Rialto's two commands are `make demo` and `make test`; both install what is missing and leave nothing running.
# `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
KEEP ?=
TIME ?= 600
MINUTES ?= 60
OF ?=
RELEASE ?= trixie
GOALS ?= demo test

.PHONY: help demo test setup lint unit servers kill fresh bench fuzz mutation soak clean

help: ## say what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup ## play a scene between real XMPP, Matrix and business clients, and prove the encryption (KEEP=1 leaves it running)
	@$(BIN)/python -m tests.stage.demo $(if $(KEEP),--keep)

test: setup lint unit servers kill ## everything that CI runs

setup: .venv/.ready .venv/synapse/.ready ## install what the other targets need
	@bash tests/servers/install.sh

.venv/.ready: pyproject.toml constraints.txt
	@echo "== Rialto into .venv"
	bash tests/servers/install.sh python
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[omemo,dev]'
	touch $@

.venv/synapse/.ready: | .venv/.ready
	@echo "== Synapse into a virtual environment of its own, .venv/synapse"
	$(PYTHON) -m venv .venv/synapse
	.venv/synapse/bin/python -m pip install --quiet --disable-pip-version-check 'matrix-synapse>=1.163,<2'
	touch $@

lint: .venv/.ready ## style, types, layers
	@echo "== ruff, mypy, import-linter"
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: .venv/.ready ## tests without servers: unit, property, vectors, live MLS peers, upgrades
	@echo "== unit, property, vectors, interop, upgrade"
	$(PYTEST) --numprocesses 2 tests/unit tests/property tests/vectors tests/interop tests/upgrade

servers: setup ## scenarios against real Prosody and Synapse
	@echo "== scenarios on real servers"
	$(PYTEST) tests/scenarios

kill: setup ## kill -9 twenty times during 500 numbered messages each way
	@echo "== the kill test"
	$(PYTEST) tests/chaos

fresh: ## both commands of the README on a bare Debian of its own, in a clean clone (RELEASE=bookworm or trixie; root only)
	@bash tests/servers/fresh.sh $(RELEASE) $(GOALS)

bench: setup ## figures, each as a ratio within one run
	@for bench in tests/bench/bench_*.py; do
		echo "== $$bench"
		$(BIN)/python -m "$$(echo "$${bench%.py}" | tr / .)"
	done

fuzz: .venv/.ready ## every decoder under atheris, TIME seconds each
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris
	for target in tests/fuzz/fuzz_*.py; do
		echo "== $$target"
		$(BIN)/python "$$target" -max_total_time=$(TIME)
	done

mutation: .venv/.ready ## change the schema and the MLS core line by line; list what no test notices (OF=degrade: that alone)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'mutmut>=3.8,<4'
	$(BIN)/mutmut run $(if $(OF),'protocol.$(OF).*')
	$(BIN)/mutmut results | sed '/: not checked$$/d'

soak: setup ## an hour of talk with the daemon killed now and then (MINUTES=60)
	@$(BIN)/python -m tests.chaos.soak $(MINUTES)

clean: ## remove what was built and installed here (Debian packages stay)
	rm -rf .venv mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache htmlcov .coverage dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name node_modules -type d -prune -exec rm -rf {} +
