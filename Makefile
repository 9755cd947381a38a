# Everything sets itself up: `make demo` and `make test` need only make and Python 3.11 or newer.
#
#   make setup      .venv with Longshot and all that its tests need: PyTorch too, some 6 GB (nothing to do when it is fresh)
#   make demo       the time-coded outline of the bundled sample; its files in demo/
#   make test       lint, format, types, tests
#   make test-all   the same with the slow tests
#   make docs       rewrite the command reference in docs/cli.md
#   make bench      speed and memory, side by side with other tools
#   make clean      remove what these made

.DELETE_ON_ERROR:
.PHONY: setup demo test test-all lint java browser docs bench clean

BIN := .venv/bin
# Keyed on content, so that a fresh checkout or a touched file does not call pip again.
STAMP := .venv/.ready-$(shell cksum < pyproject.toml | cut -d' ' -f1)
LIGHT_STAMP := $(subst ready,light,$(STAMP))
BENCH_STAMP := $(STAMP)-bench

setup: $(STAMP)

$(STAMP): $(LIGHT_STAMP)
	@echo 'make: installing what the tests need into .venv, once' >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@rm -f .venv/.ready-*
	@touch $(LIGHT_STAMP) $@

$(LIGHT_STAMP):
	@if ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    for candidate in $${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do \
	        if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
	    done; \
	    if [ -z "$${found:-}" ]; then \
	        echo "make: no Python 3.11 or newer was found; install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; \
	    fi; \
	    $$found -m venv --clear .venv || { echo "make: $$found cannot make a venv; on Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	fi
	@echo 'make: installing into .venv, once' >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[ocr,sphinx]'
	@rm -f .venv/.ready-* .venv/.light-*
	@touch $@

demo: $(LIGHT_STAMP)
	@$(BIN)/python -m longshot recap samples/longshot-demo.mp4 -o demo --no-json

lint: setup
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy

# Caption metrics are compared with programs that need Java; without it those tests say that they were skipped.
java:
	@if ! command -v java >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq default-jre-headless >/dev/null \
	        || echo 'make: Java could not be installed; tests that need it are skipped' >&2; \
	fi

# The page is tried in a real browser; without one those tests say that they were skipped.
browser:
	@if ! command -v chromedriver >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium chromium-driver >/dev/null \
	        || echo 'make: chromium could not be installed; tests that need it are skipped' >&2; \
	fi

test: lint java browser
	@$(BIN)/python -m pytest -n auto -m 'not slow and not gpu'

test-all: lint java browser
	@LONGSHOT_EXAMPLES=searching $(BIN)/python -m pytest -n auto -m 'not gpu'

docs: setup
	@$(BIN)/python -m tests.cli_reference

$(BENCH_STAMP): $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,bench]'
	@touch $@

bench: $(BENCH_STAMP)
	@$(BIN)/python benchmarks/run.py

clean:
	rm -rf .venv demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
