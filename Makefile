# Installs, then calls: snakemake runs the story, pytest tests it. See README.md.
#
#   make reproduce                            the six notebooks on the demo images, and their book
#   make reproduce PROFILE=folder DATA=... SADNESS=a,b [TRANSFER=...] [ARTWORKS=...]
#   make test                                 lint, pytest, nbval, the published book
#   make record [PROFILE=...]                 keep that run's tables under results/
#   make study STUDY=frozen                   train and record a study (results/<study>/study.yaml)
#   make summary                              results/summary.csv of all recorded studies
#   make notebooks                            execute the six with default parameters, in place
#   make lab | book | lint | bench | clean

SUITS   := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON  ?= $(firstword $(foreach python,python3 python3.11 python3.12 python3.13,\
             $(shell $(python) -c '$(SUITS)' 2>/dev/null && command -v $(python))))
PROFILE ?= demo
CORES   ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN     := .venv/bin
OPTIONS := $(if $(DATA),data='$(DATA)') $(if $(SADNESS),sadness='$(SADNESS)') \
           $(if $(TRANSFER),transfer='$(TRANSFER)') $(if $(ARTWORKS),artworks='$(ARTWORKS)') \
           $(if $(K),k='$(K)') $(if $(SEEDS),seeds='$(SEEDS)')
SNAKE    = $(BIN)/snakemake --cores $(CORES) --rerun-incomplete --quiet rules host progress \
           --configfile profiles/$(PROFILE).yaml --config profile=$(PROFILE) $(OPTIONS) --

.PHONY: reproduce test lint pytest nbval book lab bench record study summary notebooks clean

reproduce: .venv/installed
	$(SNAKE) reproduce

test: lint pytest nbval book

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

pytest: .venv/installed
	$(BIN)/python -m pytest --durations=10 --cov=gramnb --cov-report=term:skip-covered

nbval: .venv/installed
	$(BIN)/python -m pytest --nbval-lax --nbval-kernel-name=python3 notebooks

book: .venv/installed
	$(SNAKE) published_book

record: .venv/installed
	$(SNAKE) record

study: .venv/installed
	$(BIN)/python -m gramnb.study $(STUDY)

summary: .venv/installed
	$(BIN)/python -m gramnb.study --summary

notebooks: .venv/installed
	$(SNAKE) committed_notebooks

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
