# Works from a bare Python 3.10+ and git: each target first makes what it needs, in .venv.
# Another Python: make clean, then make PYTHON=python3.12 test

PYTHON ?= python3
ARGS ?=
COUNT ?= 100
RUNS ?= 30
SUITES ?=

VENV := .venv
PIP := $(VENV)/bin/python -m pip install -qq --disable-pip-version-check
# The peers' dependencies must not meet those of the tests.
BENCH := benchmarks/.venv
# pytest loads the plugins that it finds: those that shuffle are not for our suite.
RUNNERS := $(VENV)/runners
CONFIG := setup.cfg setup.py pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help demo test soak runners bench lint types docs clean
# All targets install into one environment, and pip takes no turns.
.NOTPARALLEL:

help:
	@echo "make demo    see a shop and its servers start, be tested and stop (ARGS=DIR: for its report)"
	@echo "make test    run the suite (ARGS: more arguments for pytest)"
	@echo "make runners run a sample under every runner (ARGS: '--table FILE', runners' names)"
	@echo "make soak    the reliability tests in their long form (COUNT: how often; 100 takes hours)"
	@echo "make bench   measure beside the peers (RUNS: how often; SUITES: which, default all)"
	@echo "make lint    check style with ruff"
	@echo "make types   check types with mypy"
	@echo "make docs    build the documentation with Sphinx"
	@echo "make clean   remove what the others made"
	@echo "Each takes PYTHON=... (default: python3) to say which Python makes .venv."

demo: $(VENV)/.demo
	@$(VENV)/bin/python -m demo $(ARGS)

test: $(VENV)/.installed
	$(VENV)/bin/python -m pytest $(ARGS)

soak: $(VENV)/.installed
	$(VENV)/bin/python -m tests.reliability --count $(COUNT)
	SUMMON_SOAK=1 $(VENV)/bin/python -m pytest tests/reliability $(ARGS)

runners: $(RUNNERS)/.installed
	$(RUNNERS)/bin/python -m tests.runners.matrix $(ARGS)

bench: $(BENCH)/.installed
	$(BENCH)/bin/python -m benchmarks --runs $(RUNS) $(SUITES)

lint: $(VENV)/.lint
	$(VENV)/bin/ruff check .

types: $(VENV)/.lint
	$(VENV)/bin/mypy

docs: $(VENV)/.docs
	$(VENV)/bin/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "see docs/_build/html/index.html"

clean:
	rm -rf $(VENV) $(BENCH) .tox build dist docs/_build *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	    echo "$(PYTHON) was not found. Install Python 3.10 or newer, or say where one is:" >&2; \
	    echo "    make PYTHON=python3.12 test" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "$(PYTHON) is `$(PYTHON) --version 2>&1`, and 3.10 or newer is needed. Name one:" >&2; \
	    echo "    make PYTHON=python3.12 test" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments: its venv or ensurepip is missing." >&2; \
	    echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "making $(VENV) with `$(PYTHON) --version`"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.made $(CONFIG)
	@echo "installing summon_testcase and what its demo needs into $(VENV)"
	@$(PIP) -e '.[demo]'
	@touch $@

$(VENV)/.installed: $(VENV)/.made $(CONFIG)
	@echo "installing summon_testcase and what its tests need into $(VENV)"
	@$(PIP) -e '.[test]'
	@touch $@ $(VENV)/.demo

$(VENV)/.lint: $(VENV)/.made $(CONFIG)
	@echo "installing ruff and mypy into $(VENV)"
	@$(PIP) -e '.[lint]'
	@touch $@

$(VENV)/.docs: $(VENV)/.made $(CONFIG)
	@echo "installing Sphinx into $(VENV)"
	@$(PIP) -e '.[docs]'
	@touch $@

$(RUNNERS)/.installed: $(VENV)/.made $(CONFIG)
	@echo "making $(RUNNERS): summon_testcase and every test runner"
	@$(VENV)/bin/python -m venv --clear $(RUNNERS)
	@$(RUNNERS)/bin/python -m pip install -qq --disable-pip-version-check -e '.[runners]'
	@touch $@

$(BENCH)/.installed: $(VENV)/.made $(CONFIG)
	@echo "making $(BENCH): summon_testcase and its peers"
	@$(VENV)/bin/python -m venv --clear $(BENCH)
	@# compat: as a path, as for users; setuptools' finder for editable packages takes 12 ms to import
	@$(BENCH)/bin/python -m pip install -qq --disable-pip-version-check \
		--config-settings editable_mode=compat -e '.[bench]'
	@touch $@
