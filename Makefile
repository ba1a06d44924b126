# Installs, then calls: snakemake runs the story, pytest tests it. See README.md.
#
#   make reproduce                            the six notebooks on the demo images, and their book
#   make reproduce PROFILE=folder DATA=... SADNESS=a,b [TRANSFER=...] [ARTWORKS=...]
#   make test                                 lint, pytest, nbval, the published book
#   make record [PROFILE=...]                 keep that run's tables under results/
#   make study STUDY=frozen                   train and record a study (results/<study>/study.yaml)
#     ALLOW_DIRTY=1   record (or study) although files differ from the commit
#     PARTS=8         processes that training is cut into, CORES=4 of them side by side
#   make summary                              results/summary.csv of all recorded studies
#   make notebooks                            execute the six with default parameters, in place
#   make lab | book | lint | bench | clean

SUITS   := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON  ?= $(firstword $(foreach python,python3 python3.11 python3.12 python3.13,\
             $(shell $(python) -c '$(SUITS)' 2>/dev/null && command -v $(python))))
PROFILE ?= demo
STUDY   ?= NAME
BIN     := .venv/bin

# What is typed reaches programs through the environment, as it stands: neither make nor a shell
# reads a quote or a dollar in it.
GIVEN := PROFILE DATA SADNESS TRANSFER ARTWORKS K SEEDS CORES PARTS ALLOW_DIRTY
unexport $(GIVEN) STUDY
$(foreach name,$(GIVEN),$(eval export GRAMNB_$(name) := $$(value $(name))))
run-study: export GRAMNB_STUDY = $(value STUDY)

SNAKE = $(BIN)/snakemake --cores "$${GRAMNB_CORES:-all}" --rerun-incomplete --quiet rules host progress \
        --configfile "profiles/$$GRAMNB_PROFILE.yaml" --

# The reason of a failure is the last line on the screen: make says it when all else has ended.
FAILED = runs/failed.txt
ended  = @:$(call stop,$(shell cat $(FAILED) 2>/dev/null))
stop   = $(if $(1),$(error $(1)))

.PHONY: reproduce test lint everything pytest nbval book lab bench record study summary notebooks clean

reproduce: run-reproduce
	$(ended)

run-%: .venv/installed
	@mkdir -p runs && rm -f $(FAILED)
	@test -f "profiles/$$GRAMNB_PROFILE.yaml" || \
	    echo "profiles/$$GRAMNB_PROFILE.yaml: no such profile; there are:" profiles/* >$(FAILED)
	@test -f $(FAILED) || $(SNAKE) $* || test -f $(FAILED) || \
	    echo "$* did not end well; the reason stands above" >$(FAILED)

test: lint everything

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# A process a core, four at most; each takes a test module, or a notebook, at a time: tests, the book
# (tests/test_browser.py builds it) and notebooks together, so that no core waits for the others. Each
# computes with one thread: more would wait for the other process's core.
# Lines are counted where that costs nothing; before Python 3.12 it takes two fifths more: make test COVERAGE=--cov=gramnb
ALONE    = TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1
PYTEST   = $(ALONE) $(BIN)/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile \
           --no-loadscope-reorder --durations=10
COVERAGE = $(shell $(BIN)/python -c 'import sys; sys.version_info < (3, 12) or print("--cov=gramnb")')
NBVAL    = --nbval-lax --nbval-kernel-name=python3

everything: .venv/installed
	$(PYTEST) $(COVERAGE) $(NBVAL) tests notebooks/*.ipynb book/*.ipynb

pytest: .venv/installed
	$(PYTEST) $(COVERAGE)

nbval: .venv/installed  # chapter 1 curates what the others read, so it comes first
	$(PYTEST) $(NBVAL) notebooks/01_data_curation.ipynb
	$(PYTEST) $(NBVAL) notebooks/0[2-6]*.ipynb book/*.ipynb

book: run-published_book
	$(ended)

record: run-record
	$(ended)

study: run-study
	$(ended)

summary: .venv/installed
	$(BIN)/python -m studies.record

notebooks: run-committed_notebooks
	$(ended)

lab: .venv/installed
	$(BIN)/jupyter lab --notebook-dir=. notebooks/01_data_curation.ipynb

bench: .venv/installed
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf .venv .snakemake runs

.venv/installed: requirements.lock pyproject.toml
	@"$(PYTHON)" -c '$(SUITS)' 2>/dev/null || \
	    { echo "Python 3.11, 3.12 or 3.13 with venv is needed: make PYTHON=/path/to/python3.12"; exit 1; }
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@
