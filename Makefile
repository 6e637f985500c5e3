# make demo: train a small model on motions the project makes itself, and generate with it. make test: the tests. Both set up what they need.
PYTHON ?= python3
VENV ?= .venv
DATA_DIR ?= data
BIN = $(VENV)/bin
DEMO = $(DATA_DIR)/demo
GENERATED = $(DATA_DIR)/generated
# Slow tests share their machine badly; fast ones use all of it.
WORKERS ?= 2
# Which slow tests: all of them, or some files and folders.
SLOW ?= tests
# Which parts of the benchmark: all of them, or some (make bench PARTS="step sampler").
PARTS ?=
# Python compiles what is imported, when it is: compiling all that is installed takes longer than the rest of installing it.
PIP_INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt

.PHONY: help setup demo test test-slow bench lint format clean

help:
	@echo "make demo       train a small model on motions the project makes itself, generate with it, show the result"
	@echo "make test       the fast tests, ruff and pyright"
	@echo "make test-slow  the real SLURM, killed processes, the wheel, the commands of README and docs"
	@echo "make bench      what users wait for, measured against targets; 7 minutes"
	@echo "make format     ruff format and fix"

$(BIN)/parc-is-installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --editable .
	@touch $@

$(BIN)/parc-dev-is-installed: $(BIN)/parc-is-installed
	$(PIP_INSTALL) --editable ".[dev]"
	@touch $@

setup: $(BIN)/parc-dev-is-installed

demo: $(BIN)/parc-is-installed
	$(BIN)/python -m parc.train experiment=demo data_dir=$(DATA_DIR)
	$(BIN)/python -m parc.generate model_path=$(DEMO) output_dir=$(GENERATED) data_dir=$(DATA_DIR) terrain=flights num_motions=8 paths_at_once=4
	@$(MAKE) --no-print-directory -j 2 $(DEMO)/motions.png $(GENERATED)/motion.gif $(GENERATED)/motions.html $(DEMO)/loss_curves.png
	@echo "pictures: $(DEMO)/loss_curves.png $(DEMO)/motions.png; generated motions: $(GENERATED)/motion.gif, and to open in a browser: $(GENERATED)/motions.html"
	@echo "to go on: $(BIN)/python -m parc.view $(GENERATED) (click a place, and the character goes there)"

$(DEMO)/loss_curves.png: $(DEMO)/final_model.ckpt
	@$(BIN)/python -m parc.picture $(DEMO) --output $@ > /dev/null
$(DEMO)/motions.png: $(DEMO)/final_model.ckpt
	@$(BIN)/python -m parc.picture $(DATA_DIR)/demo_motions --output $@ > /dev/null
$(GENERATED)/motions.html: $(GENERATED)/generated.json
	@$(BIN)/python -m parc.view $(GENERATED) --html $@ > /dev/null
$(GENERATED)/motion.gif: $(GENERATED)/generated.json
	@$(BIN)/python -m parc.picture $$(ls $(GENERATED)/flights/*0.safetensors | head -n 1) --output $@ > /dev/null

test: setup lint
	$(BIN)/python -m pytest -n $(WORKERS)

test-slow: setup
	$(BIN)/python -m pytest -m slow $(SLOW)

bench: $(BIN)/parc-is-installed
	$(BIN)/python -m benchmarks $(PARTS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
