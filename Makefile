# Two commands do everything on a fresh machine with Python 3.11+ and git:
#   make demo   the main job on real input        make test   all checks
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
VENV ?= .venv
STAMP := $(VENV)/.installed

.PHONY: demo test bench env clean

demo: $(STAMP)
	@$(VENV)/bin/python scripts/demo.py

test: $(STAMP)
	@scripts/system-packages
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" scripts/check

# How much memory the service and the client take; writes three times 4 GiB in the system's
# directory for temporary files, or where TMPDIR says.
bench: $(STAMP)
	@$(VENV)/bin/python benchmarks/memory.py

env: $(STAMP)

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "tailrace needs Python 3.11 or newer: install it, or run make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "building the environment in $(VENV) (about half a minute, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install -qq --upgrade 'pip>=25.1'
	@$(VENV)/bin/python -m pip install -qq --editable '.[speech]' --group dev
	@touch $(STAMP)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
