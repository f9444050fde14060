# Everything needs Python 3.11 or newer and make; the rest is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

# Test processes side by side; each takes up to 2.5 GB.
WORKERS ?= 2

# For `make nano`: Tiny ImageNet, the weights of the teacher (imagenet or a file), and a place for 3 GB.
TINY ?= tiny-imagenet-200
TEACHER ?= imagenet
WORK ?= build/nano
NANO := src/headstart/models/nano.safetensors

# uv installs in a fraction of the time, but knows nothing of pip's settings: where pip is told of another index,
# or uv cannot do it, pip does.
PIP := $(BIN)/python -m pip --disable-pip-version-check
WANTED := -c constraints.txt -e '.[train,dev]'

.PHONY: install demo test test-all check format clean nano bench

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	{ ! $(PIP) config list | grep -q '[.]index-url' && $(PIP) install --quiet -c constraints.txt uv \
	  && $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python $(WANTED); } || $(PIP) install --quiet $(WANTED)
	touch $@

demo: $(INSTALLED) ## Train on handwritten digits, offline
	rm -rf demo
	$(BIN)/headstart demo --out demo
	@echo 'The command is in $(BIN); to have it at hand: source $(BIN)/activate'

test: $(INSTALLED) ## All tests but the slow ones
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-all: $(INSTALLED) ## All tests
	$(BIN)/python -m pytest $(ARGS)

check: $(INSTALLED) ## Lint and type-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED) ## Measure everything that docs/performance.md says, on DATA with train/ and val/: half an hour
	@test -n "$(DATA)" || { echo 'Which pictures? make bench DATA=folder, with train/ and val/ in it'; exit 2; }
	$(BIN)/python benchmarks/all.py "$(DATA)" $(ARGS)

nano: $(INSTALLED) ## Train the backbone in the box anew: docs/nano.md
	$(BIN)/python tools/pretrain/pictures.py $(TINY) --out $(WORK)
	$(BIN)/python tools/pretrain/teacher.py $(WORK) --weights $(TEACHER)
	$(BIN)/python tools/pretrain/train.py $(WORK) --out nano
	install -m 644 $(WORK)/nano/nano.safetensors $(NANO)

clean:
	rm -rf $(VENV) demo
