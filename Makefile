# Two commands set everything up on a machine that has only Python 3.11+:
#     make demo     send, leak, trace and stop one picture, and open a case: PHOTO=path for your own
#     make test     every check that guards a change
# uv is used when it can be had, plain pip when it cannot; both read the same hashed lock.

PYTHON ?= python3
PHOTO  ?=
BIN    := .venv/bin
UV     := $(BIN)/uv
# What tests meet for real, from Debian: the program that proves it is there, and its package.
SYSTEM := exiftool:libimage-exiftool-perl openssl:openssl chromium:chromium age:age node:nodejs npm:npm ffmpeg:ffmpeg fpcalc:libchromaprint-tools pdftotext:poppler-utils nginx:nginx-light pg_ctlcluster:postgresql strace:strace \
  swift-proxy-server:swift-proxy swift-account-server:swift-account swift-container-server:swift-container swift-object-server:swift-object

demo: .venv/.run
	@$(BIN)/python -m entrenous demo $(if $(PHOTO),--photo "$(PHOTO)")

test: .venv/.dev .venv-synapse/.done system
	$(BIN)/lint-imports --no-logo
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q

# Installs what is missing where it may (root on Debian); elsewhere says so, and the tests that need
# it are skipped by name.
system:
	@missing=; for pair in $(SYSTEM); do command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	  else echo "Some tests will be skipped. To run them: sudo apt-get install$$missing"; fi; fi

.venv/.uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Entrenous needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	-$(BIN)/pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	@touch $@

# A homeserver to try its module in; apart, for it brings a package that hides one of ours.
.venv-synapse/.done: .venv/.uv
	@$(PYTHON) -m venv .venv-synapse && \
	if [ -x $(UV) ]; then VIRTUAL_ENV=.venv-synapse $(UV) pip install --quiet 'matrix-synapse>=1.150,<2' httpx; \
	else .venv-synapse/bin/pip install --quiet --disable-pip-version-check 'matrix-synapse>=1.150,<2' httpx; fi && touch $@ || \
	{ rm -rf .venv-synapse; echo "Synapse could not be installed: the test of its module will be skipped."; }

.venv/.run: locks/run.txt pyproject.toml .venv/.uv
	$(call install,run)

.venv/.dev: locks/dev.txt pyproject.toml .venv/.uv
	$(call install,dev)

define install
@echo "Installing (about 400 MB the first time) ..."
@if [ -x $(UV) ]; then VIRTUAL_ENV=.venv $(UV) pip install --quiet --require-hashes -r locks/$(1).txt && VIRTUAL_ENV=.venv $(UV) pip install --quiet --no-deps -e .; \
else $(BIN)/pip install --quiet --require-hashes -r locks/$(1).txt && $(BIN)/pip install --quiet --no-deps -e .; fi
@touch $@
endef

lock: .venv/.uv
	for set in run dev; do $(UV) pip compile pyproject.toml --group $$( [ $$set = dev ] && echo dev || echo demo ) --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --quiet --output-file locks/$$set.txt; done

.PHONY: demo test system lock
