# `make demo` and `make test` set up what they need. Another Python: make demo PYTHON=python3.12
PYTHON ?= python3
# Extra arguments of pip for PyTorch, for instance --index-url with the address of its CPU builds.
TORCH_PIP_ARGS ?=
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup demo figures notebooks clear-notebooks test test-server test-slurm test-faults fuzz lint bench
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

setup: $(READY) ## Virtual environment .venv with pinned dependencies

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	@# PyTorch first and alone, so that nothing else can draw in another build of it.
	$(BIN)/pip install --quiet $(TORCH_PIP_ARGS) torch==2.13.0
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[deep,prophet,tabpfn,tune,dev]'
	@# Commands write no bytecode (src/__init__.py says why); with it they start faster.
	$(BIN)/python -m compileall -q src hydra_plugins
	@touch $(READY)

demo: setup ## Cohort, sweep of 36 combinations, database, figures, report
	$(BIN)/python scripts/make_cohort.py
	$(BIN)/python -m src.train -m sweeps=quick hydra/launcher=joblib
	$(BIN)/python scripts/extract_results.py
	$(BIN)/python scripts/make_figures.py
	$(BIN)/python scripts/run_benchmark.py
	@echo
	@echo "Where to look:"
	@echo "  figures/index.html                            every figure, with its caption"
	@echo "  results/benchmarks/benchmark_report.html      the report"
	@echo "  data/public/foundation_plr_results.db         the database: README.md has five queries to begin with"
	@echo "  .venv/bin/mlflow ui --backend-store-uri sqlite:///mlflow.db      every run"

figures: setup ## Every figure of the paper, from the database
	$(BIN)/python scripts/make_figures.py

notebooks: setup ## Run the notebooks; what they show goes to results/notebooks/*.html
	$(BIN)/jupyter nbconvert --log-level WARN --execute --to html --output-dir results/notebooks notebooks/*.ipynb

clear-notebooks: setup ## Take the outputs out of the notebooks, as they are committed
	$(BIN)/jupyter nbconvert --log-level WARN --clear-output --inplace notebooks/*.ipynb

test: setup ## All tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-server: setup ## Sweeps against a real MLflow server on PostgreSQL (apt-get, if it is missing), minutes
	scripts/tracking_check.sh

test-faults: setup ## 50 kills of each kind at new random times, an hour; the numbers go into README.md
	rm -f results/faults.json
	FAULT_KILLS=50 FAULT_SEED=$$(date +%s) FAULT_REPORT=results/faults.json $(BIN)/python -m pytest tests/faults
	$(BIN)/python scripts/write_measured.py --faults results/faults.json

fuzz: setup ## Every reader of files against 100,000 new inputs, hours; the numbers go into README.md
	rm -f results/fuzz.json
	FUZZ_INPUTS=100000 FUZZ_REPORT=results/fuzz.json $(BIN)/python -m pytest -n 2 --hypothesis-profile=explore tests/*/test_fuzzed_*.py
	$(BIN)/python scripts/write_measured.py --fuzz results/fuzz.json

test-slurm: setup ## Sweeps through a real SLURM of one node, started on this machine, minutes
	scripts/slurm_check.sh

lint: setup ## Style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: setup ## Measurements: ratios and simulations, minutes
	$(BIN)/python -m benchmarks
