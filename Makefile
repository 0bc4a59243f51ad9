# Needs Python 3.11 or newer, make and git; everything else is installed into .venv, at the versions of constraints.txt.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test check check-format check-lint check-layers check-types check-generated check-docs generate coverage fuzz update-spec bench constraints clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r target text; do printf 'make %-12s %s\n' "$$target" "$$text"; done

demo: $(READY) ## start a sandbox of the API on this machine and run the example job against it
	@$(BIN)/python -m examples.demo

test: $(READY) ## run the tests (on loopback only)
	@$(BIN)/python -m pytest $(ARGS)

check: $(READY) ## format, lint, layers, types, whether the generated code is up to date, examples in the docs
	@$(MAKE) --keep-going --no-print-directory check-format check-lint check-layers check-types check-generated check-docs

check-format: $(READY)
	$(BIN)/ruff format --check

check-lint: $(READY)
	$(BIN)/ruff check

check-layers: $(READY)
	$(BIN)/lint-imports --no-cache

check-types: $(READY)
	$(BIN)/basedpyright --warnings --pythonpath $(BIN)/python

check-generated: $(READY)
	$(BIN)/python -m codegen check

check-docs: $(READY)
	$(BIN)/python -m pytest -q tests/test_docs.py

generate: $(READY) ## write kantata_client/api and kantata_client/models from openapi/ and overrides/
	@$(BIN)/python -m codegen generate

coverage: $(READY) ## ask the sandbox what it emulates, and write docs/coverage.md
	@$(BIN)/python -m emulation

fuzz: $(READY) ## let schemathesis send more than 20,000 requests to the sandbox (takes long)
	@test -x $(VENV)/fuzz/bin/schemathesis || $(BIN)/python -m venv $(VENV)/fuzz
	@$(VENV)/fuzz/bin/python -m pip install --quiet --disable-pip-version-check -r .ci/fuzz.txt
	@KANTATA_TEST_SCHEMATHESIS=$(CURDIR)/$(VENV)/fuzz/bin/schemathesis KANTATA_FUZZ_EXAMPLES=60 \
		$(BIN)/python -m pytest -s -m foreign tests/foreign/test_schemathesis.py

update-spec: $(READY) ## take over the published contract: fetch, vendor, generate, diff, changelog, checks (SOURCE=file or address, ALLOW=loss;loss)
	@$(BIN)/python -m codegen update $(if $(SOURCE),'$(SOURCE)') $(if $(ALLOW),--allow '$(ALLOW)')

bench: $(READY) ## measure speed and memory; fails when a target is missed (PLOT=docs/memory.svg draws the committed plot, ONLY=walking measures that alone)
	@$(BIN)/python -m benchmarks $(if $(PLOT),--plot $(PLOT)) $(if $(ONLY),--only $(ONLY))

constraints: ## rewrite constraints.txt with the newest versions that fit pyproject.toml
	$(call install,)
	@$(BIN)/python -m pip freeze --all --exclude-editable --exclude setuptools >constraints.txt
	@touch $(READY)

clean: ## remove .venv and everything else that was built
	@rm -rf $(VENV) dist build benchmarks/out .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The build backend goes in first, so that it too is the pinned one instead of what build isolation would fetch.
# A new pip knows dependency groups; the one that comes with Python 3.11 does not.
# $(1): `-c constraints.txt`, or nothing
define install
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("kantata-client needs Python 3.11 or newer; \
	this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.11 ...")'
	@echo 'Setting up $(VENV) (again only when pyproject.toml or constraints.txt change) ...' >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --upgrade $(1) pip hatchling editables
	@$(PIP) install $(1) --no-build-isolation --editable '.[all]' --group dev
endef

$(READY): pyproject.toml constraints.txt
	$(call install,-c constraints.txt)
	@touch $@
