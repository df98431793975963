# Every target makes or refreshes .venv by itself. Another interpreter: make test PYTHON=python3.13
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test chaos bench serve cluster check

demo: $(READY) ## a real campaign through two local SMTP servers, 70/30
	@$(BIN)/python -m deployments.demo

test: $(READY) ## all tests
	@$(BIN)/python -m pytest

chaos: $(READY) ## a campaign killed 60 times, on SQLite and on PostgreSQL
	@$(BIN)/python -m tests.chaos --recipients 20000 --kills 60
	@$(BIN)/python -m tests.chaos --recipients 20000 --kills 60 --database postgresql

bench: $(READY) ## side by side with the peers; BENCH='--docs --large' for more
	@$(BIN)/python -m benchmarks $(BENCH)

serve: $(READY) ## a Prefect server, the blocks and the deployments; SERVE='--login' asks who you are
	@$(BIN)/python -m deployments.serve $(SERVE)

cluster: $(READY) ## PostgreSQL, Redis, Prefect servers, workers, a proxy; CLUSTER='--workers 4' for more
	@$(BIN)/python -m deployments.cluster $(CLUSTER)

check: $(READY) ## format, lint, types, import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "Mailsluice needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is none of them:" \
	    "name one, for example: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv --clear .venv
	@echo "Setting up .venv (a minute or two, only when the pinned versions change)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[dev]'
	@touch $@
