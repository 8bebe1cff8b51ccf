# What a checkout can do; `make help` lists it. Needs make, git and python3 >= 3.11 with its venv module.

VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8642
PARALLEL := -n 3 --dist loadfile  # many tests wait for processes and deadlines, so two cores serve three workers

.DEFAULT_GOAL := help
.PHONY: help run key setup hermes hermes-if-possible test test-all check unit unprivileged lint format lock bench bench-http bench-inbox bench-routing bench-hermes chaos clean bubblewrap

help:  ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 20

run: setup  ## serve two demo agents on http://127.0.0.1:$(PORT) until Ctrl-C
	@exec $(BIN)/hermes-iso run --demo --port $(PORT)

key:  ## print the API key of the demo gateway that you run
	@sh tools/demo-key.sh

setup: bubblewrap $(VENV)/.ready  ## make .venv from requirements.lock and see to bubblewrap

hermes: $(VENV)-hermes/.ready  ## make .venv-hermes, which runs hermes-agent, from requirements-hermes.lock

$(VENV)-hermes/.ready: requirements-hermes.lock tools/hermes-venv.sh
	@sh tools/hermes-venv.sh $(VENV)-hermes
	@touch $@

hermes-if-possible:
	@PIP_RETRIES=1 $(MAKE) --no-print-directory hermes \
		|| echo "so the tests on the real hermes-agent are not run: pytest names each of them, as skipped" >&2

bubblewrap:
	@sh tools/bubblewrap.sh

$(VENV)/.ready: requirements.lock pyproject.toml tools/venv.sh
	@sh tools/venv.sh $(VENV)
	@touch $@

test: check unit unprivileged  ## what has to hold for every change, in under 10 minutes: style, types, borders, tests

test-all: check hermes-if-possible  ## all of it: also the long tests, as root and as a user, and another Python where there is one
	$(BIN)/python -m pytest $(PARALLEL)
	@sh tools/test-unprivileged.sh $(BIN)/python $(PARALLEL) -m sandbox
	@sh tools/test-other-python.sh $(BIN)/python

check: setup  ## style, types and import borders
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: check hermes-if-possible
	$(BIN)/python -m pytest $(PARALLEL) -m "not long"

unprivileged: unit
	@sh tools/test-unprivileged.sh $(BIN)/python $(PARALLEL) -m "sandbox and not long" tests/border tests/leaks

lint: check  ## the same as check

format: setup  ## put the code into its one layout
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## write requirements.lock anew: every dependency, with hashes
	@sh tools/lock.sh

bench: $(VENV)/.bench  ## measure what a turn costs, draw it, and write it into README.md
	$(BIN)/hermes-iso bench turns --json >$(VENV)/turns.json
	@mkdir -p docs/images && cp $(VENV)/turns.json docs/images/turns.json
	$(BIN)/python bench/plot_turns.py docs/images/turns.json

bench-http: setup  ## measure turns through HTTP
	$(BIN)/python bench/http_latency.py

bench-inbox: setup  ## measure the inbox: taking a message, draining a full queue, memory over 10,000 messages
	$(BIN)/python bench/inbox.py

bench-routing: setup  ## measure how long the choice of an agent takes, by number of rules
	$(BIN)/python bench/routing.py

bench-hermes: $(VENV)/.bench hermes  ## compare with a real Hermes gateway: leaks, latency, memory, attacks; writes docs (15 minutes)
	$(BIN)/python bench/vs_hermes.py

$(VENV)/.bench: bench/requirements.lock | setup
	$(BIN)/python -m pip --disable-pip-version-check -qq install --require-hashes --no-deps -r bench/requirements.lock
	@touch $@

chaos: setup  ## kill -9 the gateway, and what is below it, at every step of a message, and see that each is answered once
	$(BIN)/python -m pytest -n 2 tests/e2e/test_chaos.py

clean:  ## remove what make made
	rm -rf $(VENV) $(VENV)-hermes .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
