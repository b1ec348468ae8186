# These commands set everything up on a machine that has only Python 3.11+:
#     make demo     send, leak, trace and stop one picture, and open a case: PHOTO=path for your own
#     make app      the pages of a person, in the browser: everything without a terminal
#     make screens  draw every page anew: docs/screens/
#     make check    before each commit: imports, ruff, mypy, shipped facts and the fast tests
#     make test     every check that guards a change, real servers included
#     make nightly  all tests at full size under fresh seeds, fifty kills, fuzzing, benches: some hours
# Everything comes from a package index by the hashes in locks/ (docs/decisions/0004-no-uv-lock.md).

# Debian's Python is compiled with profile-guided optimization, which pyenv leaves out by default: the
# tests take a twelfth less processor time. It needs Debian's python3.11-venv; without, it is python3.
PYTHON ?= $(shell /usr/bin/python3.11 -c 'import ensurepip' 2>/dev/null && echo /usr/bin/python3.11 || echo python3)
PHOTO  ?=
FUZZ_HOURS ?= 0.05
BIN    := .venv/bin
UV     := $(BIN)/uv
PIP     = $(BIN)/pip --quiet --disable-pip-version-check
HASHED  = --no-deps --only-binary :all: --require-hashes -r
INSTALL = VIRTUAL_ENV=.venv $(UV) pip install --quiet --compile-bytecode
QUICK   = $(BIN)/lint-imports --no-logo && $(BIN)/ruff check . && $(BIN)/ruff format --check . && \
          $(BIN)/python -m tests.respond.facts_lint
STATIC  = $(QUICK) && $(BIN)/mypy
PYTEST  = $(BIN)/python -m pytest -q
# Compiles the tests to bytecode. Otherwise each worker of the first run does it for itself.
COMPILE_TESTS = $(PYTEST) -n 0 --collect-only >.venv/collected || { cat .venv/collected; exit 1; }
# Mypy takes one core for half a minute when it starts afresh: all else runs meanwhile.
BESIDE_MYPY = @$(BIN)/mypy & mypy=$$!; $(QUICK) && $(PYTEST) $(1); rest=$$?; wait $$mypy && exit $$rest
COMPILE = $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --quiet
# Tests start the program some thousand times: what is compiled once is not compiled at each start.
unexport PYTHONDONTWRITEBYTECODE
# glibc returns the memory of each large array to the system, which has to clear it before the next one
# gets it: a tenth of the time of tests of pictures. While they run, it keeps up to 1 GB (mallopt(3)).
test check: export MALLOC_MMAP_THRESHOLD_ = 1000000000
test check: export MALLOC_TRIM_THRESHOLD_ = 1000000000
# What tests meet for real, from Debian: the program that proves it is there, and its package.
SYSTEM := exiftool:libimage-exiftool-perl openssl:openssl chromium:chromium chromium-headless-shell:chromium-headless-shell age:age node:nodejs npm:npm ffmpeg:ffmpeg fpcalc:libchromaprint-tools pdftotext:poppler-utils nginx:nginx-light desktop-file-validate:desktop-file-utils pg_ctlcluster:postgresql strace:strace \
  swift-proxy-server:swift-proxy swift-account-server:swift-account swift-container-server:swift-container swift-object-server:swift-object

demo: .venv/.run
	@$(BIN)/python -m entrenous demo $(if $(PHOTO),--photo "$(PHOTO)")

app: .venv/.run
	@$(BIN)/python -m entrenous app

# Every page in both colour schemes, as docs/screens/ shows them.
screens: .venv/.dev system
	@$(BIN)/python -m tests.app.screens

# Each worker collects all tests, and these tests wait for nothing: more workers than cores only add work.
check: .venv/.dev
	$(call BESIDE_MYPY,-n 2 -m "not real and not slow")

test: .venv/.dev .venv-synapse/.done system
	$(call BESIDE_MYPY)

# FUZZ_HOURS is the time for each target.
nightly: .venv/.dev .venv-synapse/.done system
	$(STATIC)
	ENTRENOUS_NIGHTLY=1 $(PYTEST) --randomly-seed=default --hypothesis-profile=nightly --timeout=1800
	for kills in kills gate_kills; do for where in "" --postgresql; do \
	  $(BIN)/python -m tests.real.$$kills --kills 50 $$where || exit 1; done; done
	for village in siege sim moving; do $(BIN)/python -m tests.village.$$village.run --runs 200 || exit 1; done
	$(BIN)/python -m tests.fuzz.run --hours $(FUZZ_HOURS)
	$(BIN)/python -m tests.house.mutants --draw 50 --least 86 --seed "$$(date +%Y%j)"
	for bench in guard send relay stop; do $(BIN)/python -m bench.$$bench || exit 1; done
	$(BIN)/python bench/trace.py --quick
	$(MAKE) house

# The measured figures of the house beside their targets: sizes, walks, and times. The last one needs
# Debian's budgie-backgrounds, and is left out without them.
house: .venv/.dev
	@$(BIN)/python -m tests.house.figures
	@for bench in start mark_cost; do $(BIN)/python -m bench.$$bench || exit 1; done
	-@$(BIN)/python -m bench.trace_cost

# Installs what is missing where it may (root on Debian); elsewhere says so, and the tests that need
# it are skipped by name.
system:
	@missing=; for pair in $(SYSTEM); do command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	  else echo "Some tests will be skipped. To run them: sudo apt-get install$$missing"; fi; fi

# Every file that comes from a package index is named by a hash in locks/, what builds others
# included: any other file makes the install fail. Python brings its own pip; that one fetches uv.
# The files that build are kept in .venv/wheels: tests/house/test_index.py changes one of them.
.venv/.uv: locks/build.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Entrenous needs Python 3.11 or newer: make PYTHON=python3.11")'
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@rm -rf .venv/wheels
	@$(PIP) download --dest .venv/wheels $(HASHED) locks/build.txt
	@$(PIP) install --no-index --find-links .venv/wheels $(HASHED) locks/build.txt
	@touch $@

# A homeserver to try its module in; apart, for it brings a package that hides one of ours.
.venv-synapse/.done: locks/synapse.txt .venv/.uv
	@$(PYTHON) -m venv .venv-synapse && VIRTUAL_ENV=.venv-synapse $(UV) pip install --quiet --compile-bytecode $(HASHED) locks/synapse.txt && touch $@ || \
	{ rm -rf .venv-synapse; echo "Synapse could not be installed: the test of its module will be skipped."; }

.venv/.run: locks/run.txt pyproject.toml .venv/.uv
	@echo "Installing (about 400 MB the first time) ..."
	@$(INSTALL) $(HASHED) locks/run.txt
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: locks/dev.txt locks/source.txt pyproject.toml .venv/.uv
	@echo "Installing (about 400 MB the first time) ..."
	@$(INSTALL) $(HASHED) locks/dev.txt
	@$(INSTALL) --no-deps --no-build-isolation --require-hashes -r locks/source.txt
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@$(COMPILE_TESTS)
	@touch $@

# Writes every lock anew. What exists as source alone has one of its own, as it is built by what the
# others bring.
lock: .venv/.uv
	$(COMPILE) --group pyproject.toml:build --output-file locks/build.txt
	$(COMPILE) --group pyproject.toml:source --no-deps --output-file locks/source.txt
	$(COMPILE) pyproject.toml --group demo --constraints locks/build.txt --output-file locks/run.txt
	$(COMPILE) pyproject.toml --group dev --constraints locks/build.txt --constraints locks/source.txt \
	  $$(sed -n 's/^\([a-z-]*\)==.*/--no-emit-package \1/p' locks/source.txt) --output-file locks/dev.txt
	$(COMPILE) --group pyproject.toml:synapse --output-file locks/synapse.txt
	cd locks/npm && npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund

# The wheel and the sdist of the last commit, twice: in two places, under two clocks and masks. They
# must be the same, byte for byte.
dist: .venv/.uv
	@rm -rf dist && mkdir dist
	@$(call build,first,022,UTC)
	@$(call build,second,077,Asia/Tokyo)
	@for file in dist/first/out/*; do cmp "$$file" "dist/second/out/$${file##*/}" || exit 1; done
	@mv dist/first/out/* dist && rm -rf dist/first dist/second
	@cd dist && { sha256sum * 2>/dev/null || shasum -a 256 *; }

# One build: a clone of its own, a mask for new files, a time zone.
define build
umask $(2) && git clone --quiet --no-local . dist/$(1) && cd dist/$(1) && \
TZ=$(3) SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(abspath $(BIN))/hatchling build -d out >/dev/null 2>out.log || { cat out.log; exit 1; }
endef

# Gathers what people read into the catalogues of src/entrenous/locale (docs/translating.md).
messages: .venv/.dev
	@$(BIN)/python -m tests.house.messages

# Moves the fragments in changes/ into CHANGELOG.md, under the version of pyproject.toml.
changelog:
	@$(PYTHON) -m tests.house.changelog

.PHONY: demo app screens check test nightly system lock dist messages changelog house
