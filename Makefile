# edgecap: `make demo` shows the main job, `make test` runs the tests. Both set up what they need.
# A fresh machine has Python 3.11 or later, pip, make and apt.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
# Independent judges of our own packet code, programs that make real traffic, a browser that looks at reports.
TEST_PROGRAMS := capinfos tshark tcpdump ping chromium
TEST_PACKAGES := wireshark-common tshark tcpdump iputils-ping chromium
ALERTMANAGER := $(VENV)/debian/.alertmanager
INSTALL := $(BIN)/python deployments/install.py

# The tests with real servers and real time, by which a busy machine is felt.
SLOW := tests/flows tests/e2e tests/deployments tests/edgecap/cli/test_capture.py tests/edgecap/reconcile \
  tests/edgecap/captures/test_submission.py tests/edgecap/cloudflare tests/edgecap/simulator tests/edgecap/stores

# Neither the Prefect server nor its client reports home from a test or a demo.
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.PHONY: help setup setup-dev apt demo test test-fast stress-test search fuzz mutants lint types bench bench-fetch bench-gcs bench-packets bench-overhead bench-lanes bench-receiver bench-alerts bench-cancel bench-database faults canary postgresql lock clean

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## .venv with the edgecap command in it
setup-dev: $(VENV)/.installed-dev $(VENV)/mitmproxy/.installed

$(BIN)/uv:
	@echo "setup: creating $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit("edgecap needs Python 3.11 or later, this is " + sys.version) if sys.version_info < (3, 11) else 0'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || deployments/debian.sh "Python's venv" python3-venv
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# Compiled here, since each run is a process of its own: without bytecode it takes seconds more to start.
$(VENV)/.installed: requirements.lock pyproject.toml setup.py $(wildcard edgecap/packets/native/*.c edgecap/packets/native/*.h) | $(BIN)/uv
	@echo '#include <Python.h>' | cc -fsyntax-only -x c $$($(BIN)/python -c 'import sysconfig; print("-I" + sysconfig.get_path("include"))') - 2>/dev/null || \
	  deployments/debian.sh "a C compiler with Python's headers" gcc libc6-dev python3-dev
	@echo "setup: installing the locked packages"
	@$(INSTALL) --compile-bytecode --require-hashes -r requirements.lock
	@$(INSTALL) --no-deps -e .
	@$(BIN)/python -m compileall -q deployments edgecap flows tasks
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "setup: installing what the tests need"
	@$(INSTALL) --compile-bytecode --require-hashes -r requirements-dev.lock
	@touch $@

# In an environment of its own: it wants older versions of what edgecap stands on.
$(VENV)/mitmproxy/.installed: requirements-mitmproxy.lock | $(BIN)/uv
	@echo "setup: installing mitmproxy, for the tests of proxies"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/mitmproxy
	@$(INSTALL) --uv pip install --quiet --python $(VENV)/mitmproxy/bin/python --require-hashes -r requirements-mitmproxy.lock
	@touch $@

apt: $(ALERTMANAGER) ## Debian packages the tests need (tshark, capinfos, tcpdump, ping, chromium, Alertmanager)
	@missing=""; for p in $(TEST_PROGRAMS); do command -v $$p >/dev/null || missing="$$missing $$p"; done; \
	[ -z "$$missing" ] || deployments/debian.sh "$${missing# }" $(TEST_PACKAGES)

# Unpacked and not installed: the package's service would listen on this machine from then on. The program reads
# its templates at a fixed place of an installed package; of the same length, the place is below the folder it runs in.
$(ALERTMANAGER): | $(BIN)/uv
	@echo "setup: fetching prometheus-alertmanager from Debian"
	@mkdir -p $(VENV)/debian; cd $(VENV)/debian; \
	get="apt-get download -qq -o APT::Sandbox::User=root prometheus-alertmanager"; \
	$$get 2>/dev/null || { ../../deployments/debian.sh "apt's list of packages"; $$get; }; \
	dpkg-deb -x prometheus-alertmanager_*.deb .; rm prometheus-alertmanager_*.deb; \
	LC_ALL=C sed -i 's|/usr/share/prometheus/alertmanager|usr//share/prometheus/alertmanager|g' usr/bin/prometheus-alertmanager
	@touch $@

demo: setup ## the main job, for real, on this machine (ONCE=1: run it once and leave)
	@$(BIN)/edgecap demo $(if $(ONCE),--once)

test: setup-dev apt lint types ## lint, types and all tests
	@$(BIN)/pytest -n 4 --dist loadgroup --durations=15 --durations-min=1

test-fast: setup-dev ## the tests that need no server
	@$(BIN)/pytest -n 2 -m "not prefect and not e2e"

stress-test: setup-dev apt ## the tests that run servers, three times, beside programs that keep the machine busy (TIMES=3, LOAD=6)
	@$(BIN)/python -m tests.stress $(if $(TIMES),--times $(TIMES)) $(if $(LOAD),--load $(LOAD)) \
	  $(BIN)/pytest -n 2 --dist loadgroup $(or $(ONLY),$(SLOW))

search: setup-dev ## the tests of properties and state machines on inputs of their own making, for an hour
	@$(BIN)/pytest -n 2 --dist loadgroup --hypothesis-profile=long -m "not prefect and not e2e" -k 'not ceph' $(ONLY)

fuzz: setup-dev ## any bytes as files of packets, for SECONDS=600 (needs atheris: Python below 3.14)
	@$(BIN)/python -m tests.fuzz.packets --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1)

mutants: setup-dev ## what posts, adopts and waits, with one thing wrong at a time: do tests notice? (ONLY=lanes,line MOST=50)
	@$(BIN)/python -m tests.mutants --only '$(ONLY)' --most $(or $(MOST),0)

lint: setup-dev
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .

types: setup-dev
	@$(BIN)/mypy

bench: bench-fetch bench-packets bench-overhead ## fetching beside s5cmd, packets beside capinfos, tshark and mergecap, and what edgecap adds to a capture

bench-fetch: setup-dev
	@$(BIN)/python -m benches.fetch

bench-gcs: setup-dev ## reading from GCS beside the ways of Google's library
	@$(BIN)/python -m benches.gcs_reading

bench-packets: setup-dev apt
	@$(BIN)/python -m benches.packets

bench-overhead: setup-dev
	@$(BIN)/python -m benches.overhead

bench-lanes: setup-dev ## lanes at the real clock: how well they are used, what waiting costs (40 minutes)
	@$(BIN)/python -m benches.lanes

bench-receiver: setup-dev ## alerts: how soon they are answered 202, at 200 a second
	@$(BIN)/python -m benches.receiver

bench-cancel: setup-dev ## 50 full captures cancelled at random moments under load: seconds to the stop (25 minutes)
	@$(BIN)/python -m benches.cancel

bench-alerts: setup-dev ## alerts: how soon one becomes a capture, and after Prefect was away
	@$(BIN)/python -m benches.alerts

bench-database: setup-dev postgresql ## SQLite beside PostgreSQL below Prefect's server: start, memory, a burst of 50 runs
	@$(BIN)/python -m benches.database

# docs/faults.jsonl keeps what was played, at which commit, and the next run goes on from there;
# AGAIN=violations, older or all plays such of them again.
faults: setup-dev apt postgresql ## the fault matrix, and docs/faults.md from it; goes on where it ended (SEED=1, SITES=6, ONLY='pattern', AGAIN=all)
	@$(BIN)/python -m tests.faults --seed $(or $(SEED),1) --sites $(or $(SITES),6) \
	  --results '$(or $(RESULTS),docs/faults.jsonl)' --resume $(if $(AGAIN),--again $(AGAIN)) $(if $(ONLY),--only '$(ONLY)') --report docs/faults.md

# In an environment of its own: the newest Prefect that resolves, with what its server stands on; all else as locked.
canary: setup-dev ## the tests that need Prefect against the newest there is, beyond the pins: what broke? (ONLY=tests/canary)
	@mkdir -p $(VENV)/canary; cp requirements-dev.lock $(VENV)/canary/requirements.lock
	@$(BIN)/python -m tests.canary.newest >$(VENV)/canary/requirements.in
	@$(INSTALL) --uv pip compile $(VENV)/canary/requirements.in --python $(BIN)/python --no-header --quiet \
	  --upgrade-package prefect --upgrade-package fastapi --upgrade-package sqlalchemy -o $(VENV)/canary/requirements.lock
	@$(INSTALL) --uv venv --quiet --clear --python $(BIN)/python $(VENV)/canary/env
	@$(INSTALL) --uv pip install --quiet --compile-bytecode --python $(VENV)/canary/env/bin/python -r $(VENV)/canary/requirements.lock
	@$(INSTALL) --uv pip install --quiet --python $(VENV)/canary/env/bin/python --no-deps -e .
	@grep -E '^(prefect|fastapi|sqlalchemy)==' $(VENV)/canary/requirements.lock | xargs echo "canary:"
	@$(VENV)/canary/env/bin/pytest -n 2 --dist loadgroup --tb=short $(or $(ONLY),tests/canary tests/tasks tests/deployments tests/flows)

# Without a service of its own: the matrix starts one in a folder that goes afterwards.
postgresql:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	  echo "setup: installing PostgreSQL from Debian"; \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo mkdir -p /etc/postgresql-common; \
	  conf=/etc/postgresql-common/createcluster.conf; \
	  [ -e $$conf ] || echo "create_main_cluster = false" | $$sudo tee $$conf >/dev/null; \
	  $$sudo apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends postgresql >/dev/null; \
	}

lock: $(BIN)/uv ## resolve the lock files anew
	@$(INSTALL) --uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --quiet \
	  --extra demo --group dev -o requirements-dev.lock
	@$(INSTALL) --uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --quiet \
	  --extra demo -c requirements-dev.lock -o requirements.lock
	@echo mitmproxy==11.0.2 | $(INSTALL) --uv pip compile - --universal --python-version 3.11 --generate-hashes --no-header --quiet \
	  -o requirements-mitmproxy.lock

clean: ## forget the environment and all state of demo and tests; that of `edgecap up` stays
	@rm -rf $(VENV) .edgecap/demo .edgecap/demo-prefect.db .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
