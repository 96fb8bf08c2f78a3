# `make` lists the targets. PYTHON chooses the interpreter that the virtual environment is made from.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST := $(BIN)/python -m pytest

# What computes in virtual time does not mind how fast it runs: it shares the cores, a file on one of
# them as tests of a file share calls. What has real sockets, processes and clocks runs alone.
SPREAD := -n auto --dist loadfile --no-loadscope-reorder
REAL := tests/e2e tests/interop tests/netns
VIRTUAL := $(filter-out $(REAL),$(wildcard tests/*))
# One of them does not collect what it leaves out; the other leaves it out where ARGS names it.
without = $(foreach path,$(1),--ignore=$(path) --deselect=$(path))

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

test: $(BIN)/.installed-dev ## the whole test suite in two parts; each says at its end what was skipped and why
	@$(PYTEST) $(SPREAD) $(call without,$(REAL)) $(ARGS); virtual=$$?; \
	$(PYTEST) $(call without,$(VIRTUAL)) $(ARGS); real=$$?; \
	case "$$virtual $$real" in "0 0" | "0 5" | "5 0") ;; *) exit 1 ;; esac # 5: nothing was selected

unit: $(BIN)/.installed-dev ## unit and property tests only
	@$(PYTEST) $(SPREAD) tests/unit tests/property $(ARGS)

sim: $(BIN)/.installed-dev ## calls on bad networks in virtual time
	@$(PYTEST) $(SPREAD) tests/simulation $(ARGS)

netns: $(BIN)/.installed-dev ## real sockets in network namespaces (root on Linux)
	@$(PYTEST) tests/netns $(ARGS)

interop: $(BIN)/.installed-dev ## a real Chromium and a plain aiortc peer
	@$(PYTEST) tests/interop $(ARGS)

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
