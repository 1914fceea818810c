# alvh: what a person and the pipeline run. `make help` lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-quick bench chaos fuzz soak lint clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv and install what constraints.txt pins, once

# a link to another environment is replaced, never written into
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.11 setup" >&2; exit 2; }
	@if [ -L $(VENV) ]; then rm $(VENV); fi
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	@touch $(STAMP)

demo: $(STAMP) ## recorded history, from ticks to rebalances, in one process
	@$(BIN)/alvh demo

# files in their order: those that take longest come first
test: $(STAMP) ## every test that this machine can run; what it cannot is named at the end
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test-quick: $(STAMP) ## the tests that need nothing but Python
	$(BIN)/python -m pytest -m "not kafka and not data" tests/unit

fuzz: $(STAMP) ## a million spoiled inputs; the figures go into docs/testing.md
	$(BIN)/python tests/fuzz/run.py --inputs 1000000 --seed 1 --table docs/testing.md

soak: $(STAMP) ## ten million ticks on a real Kafka, and recovery time: about an hour, writes docs/soak.md
	$(BIN)/python tests/soak/run.py --write
	$(BIN)/python tests/soak/recovery.py --write

bench: $(STAMP) ## side by side with other stream processors on a real Kafka: about 25 minutes, writes docs/benchmarks.md
	$(BIN)/python tests/bench/run.py --write

chaos: $(STAMP) ## faults on three real brokers, an hour and less; the table goes into docs/chaos.md
	$(BIN)/python tests/chaos/run.py --seeds 1-20 --retention 1-5 --table docs/chaos.md

lint: $(STAMP) ## ruff, mypy in strict mode, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

clean: ## remove what the other targets made
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
