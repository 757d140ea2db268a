# What people type. Each target does its own set-up; nothing is written outside the repository but package caches.
PYTHON ?= python3
FAULT ?= surge
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
export UV_PYTHON_PREFERENCE := only-system
export UV_PYTHON_DOWNLOADS := never

.PHONY: setup demo demo-kafka faults test check bench docs lock clean
.DELETE_ON_ERROR:

setup: $(READY)

$(READY): requirements.lock pyproject.toml deploy/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh deploy/setup.sh
	@touch $@

demo: setup
	@$(BIN)/recwatch demo

demo-kafka: setup
	@$(BIN)/python -m cluster demo --once --fault $(FAULT)

# Real processes are killed and paused on real brokers of this machine; about a quarter of an hour.
faults: setup
	@$(BIN)/python -m faults

# Four at once on two cores: half of a run is waiting, for brokers, sessions and restarts. A file's tests stay together.
test: setup
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

bench: setup
	@$(BIN)/python -m benchmarks

docs: setup
	@$(BIN)/python -m collectors.signals_page > docs/signals.md.new && mv docs/signals.md.new docs/signals.md

lock: setup
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras \
		--custom-compile-command "make lock" pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .recwatch
