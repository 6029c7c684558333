# Two commands do everything on a fresh machine with Python 3.11+ and git:
#   make demo   the main job on real input        make test   all checks
# and a third measures: make bench
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
# The other end of the range we support, where it is here; the tests run once more with it,
# in an environment without the extras.
NEWEST ?= $(shell for p in python3.14 python3.13 python3.12 $(PYTHON); do \
	command -v $$p >/dev/null 2>&1 && $$p -c '' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BARE_VENV ?= .venv-bare
STAMP := $(VENV)/.installed
BARE_STAMP := $(BARE_VENV)/.installed
BENCH_VENV ?= .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed

# The rooms that could not tell: run with everything installed, once, they have said all.
KNOW_NO_EXTRAS := client protocol server

.PHONY: demo test bench env clean

demo: $(STAMP)
	@$(VENV)/bin/python scripts/demo.py

test: $(STAMP) $(BARE_STAMP)
	@scripts/system-packages aria2c cc chromium curl nginx node npm openssl wget
	@npm install --silent --no-package-lock --prefix tests/acceptance/javascript \
		|| echo "npm could not install the JavaScript clients: their tests cannot run" >&2
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" scripts/check
	@PATH="$(CURDIR)/$(BARE_VENV)/bin:$$PATH" TAILRACE_WITHOUT_EXTRAS=1 \
		pytest --ignore tests/acceptance $(KNOW_NO_EXTRAS:%=--ignore tests/%)

# All that benchmarks/ measures, beside nginx, Starlette, aiohttp and granian: about a quarter of
# an hour, and up to 6 GiB of memory. One row: .venv-bench/bin/python -m benchmarks --only ROW
bench: $(BENCH_STAMP)
	@scripts/system-packages cc nginx
	@$(BENCH_VENV)/bin/python -m benchmarks --save benchmarks/results

env: $(STAMP)

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "tailrace needs Python 3.11 or newer: install it, or run make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "building the environment in $(VENV) (about half a minute, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install -qq --upgrade 'pip>=25.1'
	@$(VENV)/bin/python -m pip install -qq --editable '.[speech]' --group dev
	@touch $(STAMP)

$(BARE_STAMP): pyproject.toml $(STAMP)
	@$(NEWEST) -m venv $(BARE_VENV)
	@$(BARE_VENV)/bin/python -m pip install -qq --upgrade 'pip>=25.1'
	@$(BARE_VENV)/bin/python -m pip install -qq --editable . --group dev
	@touch $(BARE_STAMP)

# The peers are installed beside tailrace, away from what the tests run with.
$(BENCH_STAMP): pyproject.toml $(STAMP)
	@$(VENV)/bin/python -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip install -qq --upgrade 'pip>=25.1'
	@$(BENCH_VENV)/bin/python -m pip install -qq --editable . --group bench
	@touch $(BENCH_STAMP)

clean:
	rm -rf $(VENV) $(BARE_VENV) $(BENCH_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
