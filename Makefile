# Every target does its own set-up; `make help` lists them. All state is in .venv*, .stamps and the user's cache folder.
PYTHON ?= python3
STAMPS := .stamps
CLIENT := .venv/bin
SERVER := .venv-server/bin
PIP := -m pip --disable-pip-version-check install --quiet

export ETS_SERVER := $(CURDIR)/$(SERVER)/ets-server

.PHONY: help demo serve reproduce test test-all test-debug soak limits lint typecheck format docs clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMPS)/client $(STAMPS)/server  ## start a policy server, grow search trees on it, stop it
	@scripts/demo.sh

serve: $(STAMPS)/client $(STAMPS)/server  ## start the policy server `policy` and write its address to policy.json
	$(SERVER)/ets-server up policy --endpoint-file policy.json
	@echo "now: .venv/bin/python examples/quickstart.py; stop it with: $(SERVER)/ets-server down policy"

reproduce: $(STAMPS)/search $(STAMPS)/server  ## ETS with policy and reward server on the CPU: search, interrupt, resume, evaluate, show
	@ETS_CLIENT=$(CURDIR)/$(CLIENT)/ets-client scripts/reproduce.sh

test: $(STAMPS)/dev $(STAMPS)/server-dev  ## all tests: client, server tool, real server, documentation
	@scripts/test.sh

test-all: test  ## the same, and what needs a real SGLang 0.5.23
	$(CLIENT)/pytest tests -m live_0_5_23
	cd server && ../$(SERVER)/pytest -m live_0_5_23

test-debug: $(STAMPS)/dev  ## the parts on the event loop in asyncio's debug mode, with a detector of blocking calls
	PYTHONASYNCIODEBUG=1 $(CLIENT)/pytest --find-blocking tests/engine tests/transport tests/survival tests/threads

soak: $(STAMPS)/dev  ## ten minutes of faults at 128 in flight (ETS_SOAK_SECONDS), and 10,000 cancels and races
	ETS_CANCELS=10000 ETS_RACES=10000 ETS_CHAOS=40 $(CLIENT)/pytest tests/survival
	$(CLIENT)/python benchmarks/soak.py --seconds $(or $(ETS_SOAK_SECONDS),600)

limits: $(STAMPS)/dev  ## measure everything behind the documented limits, on a quiet machine: about 90 minutes
	$(CLIENT)/python $(PIP) -e '.[bench]'
	PYTHON=$(CLIENT)/python benchmarks/limits.sh

lint: $(STAMPS)/dev  ## ruff and the layers of the import-linter
	$(CLIENT)/ruff check .
	$(CLIENT)/ruff format --check .
	$(CLIENT)/lint-imports

typecheck: $(STAMPS)/dev $(STAMPS)/server-dev  ## mypy strict and pyright strict, client and server tool
	$(CLIENT)/mypy
	$(CLIENT)/pyright
	cd server && ../$(SERVER)/mypy && ../$(SERVER)/pyright

format: $(STAMPS)/dev  ## let ruff format and mend what it can
	$(CLIENT)/ruff check --fix .
	$(CLIENT)/ruff format .

docs: $(STAMPS)/docs  ## build the documentation into site/
	$(CLIENT)/mkdocs build --strict

clean:  ## remove what the other targets made in this folder (servers: `ets-server down --all`)
	rm -rf .venv .venv-server $(STAMPS) site dist build .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@echo "making the client's environment in .venv"
	$(PYTHON) -m venv .venv

.venv-server/bin/python:
	@echo "making the server tool's environment in .venv-server"
	$(PYTHON) -m venv .venv-server

$(STAMPS)/client: pyproject.toml | .venv/bin/python
	@mkdir -p $(STAMPS)
	$(CLIENT)/python $(PIP) -e '.[cli,tokenizers]'
	@touch $@

$(STAMPS)/search: pyproject.toml | .venv/bin/python
	@mkdir -p $(STAMPS)
	$(CLIENT)/python $(PIP) -e '.[search,tokenizers]'
	@touch $@ $(STAMPS)/client

$(STAMPS)/dev: pyproject.toml | .venv/bin/python
	@mkdir -p $(STAMPS)
	$(CLIENT)/python $(PIP) -e '.[dev]'
	@touch $@ $(STAMPS)/client $(STAMPS)/search

$(STAMPS)/docs: pyproject.toml | .venv/bin/python
	@mkdir -p $(STAMPS)
	$(CLIENT)/python $(PIP) -e '.[cli,tokenizers,docs]'
	@touch $@ $(STAMPS)/client

$(STAMPS)/server: pyproject.toml server/pyproject.toml | .venv-server/bin/python
	@mkdir -p $(STAMPS)
	$(SERVER)/python $(PIP) -e . -e server
	@touch $@

$(STAMPS)/server-dev: pyproject.toml server/pyproject.toml | .venv-server/bin/python
	@mkdir -p $(STAMPS)
	$(SERVER)/python $(PIP) -e . -e 'server[dev]'
	@touch $@ $(STAMPS)/server
