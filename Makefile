# Everything needs Python 3.11 or newer and make; the rest is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: install demo test test-all check format clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]'
	touch $@

demo: $(INSTALLED) ## Train on handwritten digits, offline
	rm -rf demo
	$(BIN)/headstart demo --out demo
	@echo 'The command is in $(BIN); to have it at hand: source $(BIN)/activate'

test: $(INSTALLED) ## All tests but the slow ones
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-all: $(INSTALLED) ## All tests
	$(BIN)/python -m pytest $(ARGS)

check: $(INSTALLED) ## Lint and type-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) demo
