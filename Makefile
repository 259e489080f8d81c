# `make demo` and `make test` do all their own set-up; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

BIN := .venv/bin
PYTHON_FILES := src tests scripts $(wildcard bench drills)
# An empty file per set of extras: nothing is installed again until what the file depends on has changed.
PACKAGE := .venv/.installed-package
DEV := .venv/.installed-dev

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z%-]+:.*## ' Makefile | sed -E 's/^([a-z%-]+):.*## /make \1\t/' | expand -t 18

$(BIN)/uv: scripts/venv.sh
	@scripts/venv.sh
	@touch $@

.venv/.installed-%: pyproject.toml constraints.txt | $(BIN)/uv
	@echo "installing trunkline ($*) into .venv"
	@PYTHON=$(BIN)/python scripts/system.sh openmp
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt \
		--editable '$(if $(filter package,$*),.,.[$*])'
	@touch '$@'

.PHONY: install demo
install: $(DEV) ## install the package and the tools of its developers into .venv

demo: $(PACKAGE) ## install the package and run churn on the embedded default
	$(BIN)/trunkline run churn --workspace demo-workspace
	@echo 'next: . .venv/bin/activate; trunkline serve --workspace demo-workspace'

.PHONY: lint types layers check test format
lint: $(DEV) ## ruff, rules and format
	$(BIN)/ruff check $(PYTHON_FILES)
	$(BIN)/ruff format --check $(PYTHON_FILES)

types: $(DEV) ## mypy, strict
	$(BIN)/mypy $(PYTHON_FILES)

layers: $(DEV) ## import-linter: who may import whom
	$(BIN)/lint-imports

check: lint types layers ## lint, types, layers and the fast tests, here and in Tokyo's time
	@$(BIN)/python scripts/suites.py fast fast-tokyo

test: lint types layers ## everything that can be tested here, suite by suite; ends with the sum
	@$(BIN)/python scripts/suites.py --all

test-%: $(DEV) ## one suite: fast, fast-tokyo, properties, slow, servers, spark, airflow, browser
	@$(BIN)/python scripts/suites.py $*

format: $(DEV) ## let ruff mend what it can
	$(BIN)/ruff check --fix $(PYTHON_FILES)
	$(BIN)/ruff format $(PYTHON_FILES)

.PHONY: bench drill
bench: $(DEV) ## run the benchmarks, or one: make bench ONLY=churn_quality
	@for file in $(if $(ONLY),bench/$(ONLY).py,$(sort $(wildcard bench/*.py))); do $(BIN)/python "$$file"; done

drill: $(DEV) ## run the fault drills, or one: make drill ONLY=churn_run
	@for file in $(if $(ONLY),drills/$(ONLY).py,$(sort $(wildcard drills/*.py))); do $(BIN)/python "$$file"; done

.PHONY: constraints reference clean
constraints: $(BIN)/uv ## resolve the dependencies again (UPGRADE=1: to the newest) into constraints.txt
	@UPGRADE=$(UPGRADE) scripts/constraints.sh

reference: $(DEV) ## write docs/commands.md and docs/settings.md from the code
	$(BIN)/python scripts/reference.py

clean: ## remove the environment and everything that can be made again, but no workspace
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
