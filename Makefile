# make run: from a fresh clone to the report, in one command. make test: the suite, without what takes minutes.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: run test test-slow test-cluster lint bench viz docs lock

run: $(INSTALLED)
	$(BIN)/kedro run

test: $(INSTALLED)
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# what takes minutes: kills of whole runs, further members of what `make test` shows of one
test-slow: $(INSTALLED)
	$(BIN)/pytest -m slow

# on a SLURM of one node and a PostgreSQL that the tests start: skipped where their packages, or root, are not at hand
test-cluster: $(INSTALLED)
	$(BIN)/pytest -m "slurm or server" tests/slurm tests/server

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(INSTALLED)
	for name in $$(ls benchmarks/*.py | xargs -n 1 basename -s .py | grep -v '^_'); do \
	  $(BIN)/python -m benchmarks.$$name || failed="$$failed $$name"; done; [ -z "$$failed" ] || { echo "Failed:$$failed"; exit 1; }

# the pipeline as a static site, in build/
viz: $(INSTALLED)
	$(BIN)/kedro viz build --include-previews

# docs/parameters.md, from the models that check the parameters
docs: $(INSTALLED)
	$(BIN)/python docs/parameters.py

lock:
	$(BIN)/uv pip compile --universal --python-version 3.12 --extra dev --upgrade pyproject.toml -o requirements.lock

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 12) <= sys.version_info < (3, 14))' \
	  || { echo "Python 3.12 or 3.13 is needed: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps -e .
	$(BIN)/python -m cherenkov_pipeline.dl1.kernels # once, before several processes would at the same time
	touch $@
