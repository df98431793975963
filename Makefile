# Each target makes or refreshes its virtual environment. Another interpreter: make test PYTHON=python3.13
PYTHON ?= python3
BIN := .venv/bin
# Packages are installed without bytecode: the first start compiles them, for all later ones.
unexport PYTHONDONTWRITEBYTECODE
# Many tests wait for servers: two processes a core, and one more.
JOBS ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1) + 1)')
# The folders that `make coverage` and CI measure: COVERAGE='$(COVERED)' make test
COVERED := tests/unit tests/integration
export COVERAGE
RUNTIME := .venv/.runtime
DEVELOPMENT := .venv/.development
OLDEST := .venv-oldest

.PHONY: install demo test test-oldest coverage measured thorough simulations chaos bench serve cluster image check \
  links lock

install: $(RUNTIME) ## .venv, as every other target sets it up

demo: $(RUNTIME) ## a real campaign through two local SMTP servers, 70/30
	@$(BIN)/python -m deployments.demo

test: $(DEVELOPMENT) ## all tests, in parallel; JOBS=1 for one after the other, TESTS=tests/unit for some
	@$(if $(COVERAGE),$(BIN)/coverage erase; $(BIN)/coverage run,$(BIN)/python) -m pytest $(PARALLEL) $(TESTS)

PARALLEL = --numprocesses $(JOBS) --dist loadgroup

coverage: ## unit and integration tests with their branch coverage, which may not fall; TESTS=tests for all
	@$(MAKE) --no-print-directory test TESTS='$(or $(TESTS),$(COVERED))' COVERAGE='$(or $(TESTS),$(COVERED))'
	@$(MAKE) --no-print-directory measured

measured: $(DEVELOPMENT) ## the branch coverage that the last `make test` has measured
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report $(if $(TESTS),--fail-under=0)

thorough: $(DEVELOPMENT) ## laws with all examples, simulations with all trials, tables with all cases
	@THOROUGH=1 $(BIN)/python -m pytest $(PARALLEL) -m 'hypothesis or thorough' tests/unit tests/integration tests/browser tests/chaos

test-oldest: $(OLDEST)/.installed ## unit, integration, flow and served tests on the oldest versions that pyproject.toml allows
	@$(OLDEST)/bin/python -m pytest --numprocesses $(JOBS) --dist loadgroup tests/unit tests/integration tests/flows tests/served

simulations: $(DEVELOPMENT) ## the statistical bounds of the unit tests, with ten times the trials
	@SIMULATED_TIMES=10 $(BIN)/python -m pytest tests/unit -k simulation

chaos: $(DEVELOPMENT) ## a campaign killed 60 times, and each kind of campaign 8 times, on SQLite and on PostgreSQL
	@$(BIN)/python -m tests.chaos --recipients 20000 --kills 60
	@$(BIN)/python -m tests.chaos --recipients 20000 --kills 60 --database postgresql
	@$(BIN)/python -m tests.chaos --kind all --recipients 600 --kills 8 --stops 25 --faulty 20
	@$(BIN)/python -m tests.chaos --kind all --recipients 600 --kills 8 --stops 25 --processes 3 --database postgresql

bench: $(DEVELOPMENT) ## side by side with the peers; BENCH='--docs --large' for more
	@$(BIN)/python -m benchmarks $(BENCH)

serve: $(RUNTIME) ## a Prefect server, the blocks and the deployments; SERVE='--login' asks for a login
	@$(BIN)/python -m deployments.serve $(SERVE)

cluster: $(RUNTIME) ## PostgreSQL, Redis, Prefect servers, workers, a proxy; CLUSTER='--workers 4' for more
	@$(BIN)/python -m deployments.cluster $(CLUSTER)

image: $(DEVELOPMENT) ## the image, built by buildah, and a campaign sent by its processes; IMAGE=--debian where no images can be had
	@$(BIN)/python -m deployments.image $(IMAGE)
	@$(BIN)/python -m tests.image

check: $(DEVELOPMENT) links ## format, lint, spelling, links, types, import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/codespell
	@$(BIN)/lint-imports
	@$(BIN)/mypy

links: $(DEVELOPMENT) ## links between the documents and to their headings, offline
	@$(BIN)/lychee -qq --offline --include-fragments '**/*.md'

lock: | $(BIN)/pip ## the newest versions that pyproject.toml allows, and the oldest, with hashes, into requirements/
	@$(BIN)/python -m pip install -qq --disable-pip-version-check uv
	@echo 'setuptools>=77' | $(COMPILE) pyproject.toml - --upgrade --all-extras --output-file $(LISTS)/development.txt
	@echo 'setuptools>=77' | $(COMPILE) pyproject.toml - --extra demo --extra cluster --constraint $(LISTS)/development.txt --output-file $(LISTS)/runtime.txt
	@printf '%s\n' 'setuptools>=77' $(OLD) | $(COMPILE) pyproject.toml - --upgrade --resolution lowest-direct --all-extras --output-file $(LISTS)/oldest.txt
	@echo uv | $(COMPILE) - --constraint $(LISTS)/development.txt --output-file $(LISTS)/uv.txt

LISTS := requirements
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
  --generate-hashes --no-emit-index-url --no-header --no-annotate
# Prefect brings them: the oldest that it takes.
OLD := 'fastapi>=0.1' 'starlette>=0.1'

$(RUNTIME): pyproject.toml $(LISTS)/runtime.txt $(LISTS)/uv.txt $(LISTS)/install.sh | $(BIN)/pip
	@echo "Setting up .venv (only when the pinned versions change)"
	@sh $(LISTS)/install.sh runtime .venv
	@touch $@

$(DEVELOPMENT): $(LISTS)/development.txt $(RUNTIME)
	@echo "Adding the packages for tests and checks to .venv (only when the pinned versions change)"
	@sh $(LISTS)/install.sh development .venv
	@touch $@

$(OLDEST)/.installed: $(LISTS)/oldest.txt $(LISTS)/install.sh | $(BIN)/pip
	@echo "Setting up $(OLDEST) (only when the oldest versions change)"
	@$(BIN)/python -m venv --clear $(OLDEST)
	@sh $(LISTS)/install.sh oldest $(OLDEST)
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "Mailsluice needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is none of them:" \
	    "name one, for example: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv
