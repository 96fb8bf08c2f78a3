# `make` lists the targets. PYTHON chooses the interpreter that the virtual environment is made from.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test unit sim netns interop bench bench-turn lint types fmt check clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# The stamps are remade when pyproject.toml changes.
$(BIN)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Ringline needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Ringline into $(VENV) (the first time takes a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(BIN)/.installed-dev: $(BIN)/.installed
	@echo "Installing what tests and lint need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group test --group lint
	@touch $@

$(BIN)/.installed-bench: $(BIN)/.installed-dev
	@echo "Installing what scores picture and sound (PESQ needs a C compiler) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group lab
	@touch $@

install: $(BIN)/.installed ## make the virtual environment and install into it

demo: $(BIN)/.installed ## two peers call each other; ARGS="--relay --network g3 --play FILE --seconds N --out DIR --json"
	@$(BIN)/ringline demo $(ARGS)

test: $(BIN)/.installed-dev ## the whole test suite; says at the end what was skipped and why
	@$(BIN)/python -m pytest $(ARGS)

unit: $(BIN)/.installed-dev ## unit and property tests only
	@$(BIN)/python -m pytest tests/unit tests/property $(ARGS)

sim: $(BIN)/.installed-dev ## calls on bad networks in virtual time
	@$(BIN)/python -m pytest tests/simulation $(ARGS)

netns: $(BIN)/.installed-dev ## real sockets in network namespaces (root on Linux)
	@$(BIN)/python -m pytest tests/netns $(ARGS)

interop: $(BIN)/.installed-dev ## a real Chromium and a plain aiortc peer
	@$(BIN)/python -m pytest tests/interop $(ARGS)

bench: $(BIN)/.installed-bench ## what the engine costs and what a call is worth; writes benchmarks/results/
	@$(BIN)/python benchmarks/bench.py $(ARGS)

bench-turn: $(BIN)/.installed ## the relay beside Debian's coturn; writes benchmarks/results/
	@$(BIN)/python benchmarks/turn.py $(ARGS)

fmt: $(BIN)/.installed-dev ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lint: $(BIN)/.installed-dev ## format check, ruff, mypy --strict, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy typecheck/ringline tests examples
	@MYPYPATH=benchmarks $(BIN)/mypy benchmarks
	@PYTHONPATH=typecheck $(BIN)/lint-imports

check: lint unit sim ## what to run before each commit

clean: ## remove what make made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info build dist
