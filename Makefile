# Everything below works from a clean clone; it needs Python 3.11 or newer with venv, and a C compiler.
# Each step leaves a stamp in .venv/stamps, and runs again only when something it was made from has changed.

PYTHON ?= python3
TESTS ?= tests
CORE_TESTS ?= tests/amqp tests/broker tests/management
COVERAGE_TESTS ?= $(CORE_TESTS) tests/behaviour tests/wire
ARGUMENTS ?=
# Processes that run the tests, each whole files of them; 0 runs all in one, in their order.
WORKERS ?= 2
# With COMPILE=0 nothing is compiled, and Leveret runs interpreted; 1 makes it an error when compiling fails.
COMPILE ?= 1

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install

# The compiled modules, and the modules whose types they may see.
COMPILED := $(sort $(shell find src/leveret/amqp src/leveret/broker src/leveret/store src/leveret/server \
	-name '*.py' 2>/dev/null))

.DEFAULT_GOAL := help
.PHONY: conformance crash differential help run build test test-interpreted coverage lint format bench clean FORCE

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 24

run: $(STAMPS)/built ## Build Leveret and start it with its defaults (more options: make run ARGUMENTS="--port 0")
	@exec $(BIN)/leveret serve $(ARGUMENTS)

build: $(STAMPS)/built ## Make .venv and compile the hot rooms in place

test: $(STAMPS)/built $(STAMPS)/test ## Run the tests against the compiled build (some of them: make test TESTS=tests/amqp)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(TESTS)

test-interpreted: $(STAMPS)/test ## Run the core's tests once more, interpreted
	LEVERET_INTERPRETED=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(CORE_TESTS)

crash: $(STAMPS)/built $(STAMPS)/test ## Kill a broker under load 100 times (more: make crash ARGUMENTS="--kills 500")
	$(BIN)/python -m tests.crash $(ARGUMENTS)

differential: $(STAMPS)/built $(STAMPS)/test ## Compare with an installed RabbitMQ, long (more: make differential ARGUMENTS="--examples 2000")
	$(BIN)/python -m tests.differential $(ARGUMENTS)

conformance: $(STAMPS)/built $(STAMPS)/test ## Run the tests that clients ship on PyPI (a selection, about a minute: ARGUMENTS=--short)
	$(BIN)/python -m tests.conformance $(ARGUMENTS)

coverage: $(STAMPS)/test ## Measure the line coverage of amqp/ and broker/, interpreted; fail under 95 %
	$(BIN)/python -m coverage erase
	LEVERET_INTERPRETED=1 $(BIN)/python -m coverage run -m pytest $(COVERAGE_TESTS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

lint: $(STAMPS)/test $(STAMPS)/lint ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict src
	MYPYPATH=benchmarks $(BIN)/mypy tests examples benchmarks

format: $(STAMPS)/lint ## Bring the code into the style that lint expects
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(STAMPS)/built $(STAMPS)/test ## Measure Leveret, beside other brokers where they are installed
	$(BIN)/python benchmarks/run.py $(ARGUMENTS)

clean: ## Remove whatever make and the tools made; a broker's data stays
	rm -rf $(VENV) build dist src/*.egg-info .coverage .coverage.* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src -name '*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Installs what a list in pyproject.toml names: $(call install,project.optional-dependencies.test)
define install
$(BIN)/python -c 'import functools, sys, tomllib; \
	print(*functools.reduce(dict.__getitem__, "$(1)".split("."), tomllib.load(sys.stdin.buffer)), sep="\n")' \
	< pyproject.toml > $(STAMPS)/requirements.txt
$(PIP) --requirement $(STAMPS)/requirements.txt
endef

$(STAMPS)/environment: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"Leveret needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS)
	$(call install,build-system.requires)
	LEVERET_COMPILE=0 $(PIP) --no-build-isolation --editable .
	@touch $@

$(STAMPS)/test $(STAMPS)/lint: $(STAMPS)/environment
	$(call install,project.optional-dependencies.$(@F))
	@touch $@

# Changes when a source is added or removed, which no time of a file would tell.
$(STAMPS)/sources: FORCE | $(STAMPS)/environment
	@echo '$(COMPILED)' | cmp -s - $@ || echo '$(COMPILED)' > $@

# Another install from this folder may have removed what was compiled.
$(STAMPS)/built: $(STAMPS)/environment $(STAMPS)/sources setup.py $(COMPILED) $(if $(wildcard src/leveret__mypyc.*),,FORCE)
	LEVERET_COMPILE=$(COMPILE) $(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@
