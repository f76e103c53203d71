# Everything here does its own set-up, on a machine that has only Python (3.11 or newer) and make.
# The environment lies in .venv, uv (if the machine has none) in .uv.

PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := .venv/bin/python -m

.PHONY: demo test lint types clean

demo: .venv/ready
	$(RUN) evinr fit demo --overwrite $(DEMO)

test: .venv/ready
	$(RUN) pytest -n 2 --dist loadfile $(TEST)

lint: .venv/ready
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: .venv/ready
	$(RUN) basedpyright --level error

# Versions are those of constraints.txt; `make constraints` renews it.
.venv/ready: pyproject.toml constraints.txt | $(UV)
	test -x .venv/bin/python || $(UV) venv --quiet --python $(PYTHON) .venv
	$(UV) pip install --quiet --python .venv/bin/python --constraint constraints.txt --editable . --group dev
	touch $@

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet uv

.PHONY: constraints
constraints: | $(UV)
	$(UV) pip compile --quiet --universal --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --group dev pyproject.toml --output-file constraints.txt --upgrade

clean:
	rm -rf .venv .uv .pytest_cache .ruff_cache .hypothesis
