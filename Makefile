# edgecap: `make demo` shows the main job, `make test` runs the tests. Both set up what they need.
# A fresh machine has Python 3.11 or later, pip, make and apt.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
# Other implementations to check our packet code against, programs that make real traffic and network namespaces,
# a browser for reports.
TEST_PROGRAMS := capinfos tshark tcpdump ping chromium ip
TEST_PACKAGES := wireshark-common tshark tcpdump iputils-ping chromium iproute2
# Unpacked and not installed: these packages would start services. nftables comes with its libraries.
SERVERS := prometheus-alertmanager nginx caddy nftables libnftables1 libnftnl11 libxtables12 libjansson4 libedit2
UNPACKED := $(VENV)/debian/.unpacked
INSTALL := $(BIN)/python deployments/install.py

# The tests with real servers and real time, which a busy machine slows down.
SLOW := tests/flows tests/e2e tests/deployments tests/edgecap/cli/test_capture.py tests/edgecap/reconcile \
  tests/edgecap/captures/test_submission.py tests/edgecap/cloudflare tests/edgecap/simulator tests/edgecap/stores

# No telemetry from the Prefect server and client in tests and demos.
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.PHONY: help setup setup-dev apt demo test test-fast stress-test search fuzz mutants lint types bench bench-fetch bench-gcs bench-packets bench-propose bench-analytics bench-overhead bench-lanes bench-receiver bench-alerts bench-cost bench-cancel bench-database faults kill-test canary postgresql lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## .venv with the edgecap command in it
	@$(if $(filter setup,$(MAKECMDGOALS)),echo "setup: done. Next: source $(VENV)/bin/activate; edgecap --help lists the commands",:)

setup-dev: $(VENV)/.installed-dev $(VENV)/mitmproxy/.installed

$(BIN)/uv:
	@echo "setup: creating $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit("edgecap needs Python 3.11 or later, this is " + sys.version) if sys.version_info < (3, 11) else 0'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || deployments/debian.sh "Python's venv" python3-venv
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# Compile bytecode: each run is a separate process, and without bytecode it starts seconds later.
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

# In a separate environment: it needs older versions of edgecap's dependencies.
$(VENV)/mitmproxy/.installed: requirements-mitmproxy.lock | $(BIN)/uv
	@echo "setup: installing mitmproxy, for the tests of proxies"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/mitmproxy
	@$(INSTALL) --uv pip install --quiet --python $(VENV)/mitmproxy/bin/python --require-hashes -r requirements-mitmproxy.lock
	@touch $@

apt: $(UNPACKED) ## Debian packages the tests need (tshark, capinfos, tcpdump, ping, chromium, Alertmanager, nginx, Caddy, nft)
	@missing=""; for p in $(TEST_PROGRAMS); do command -v $$p >/dev/null || missing="$$missing $$p"; done; \
	[ -z "$$missing" ] || deployments/debian.sh "$${missing# }" $(TEST_PACKAGES)

# Alertmanager reads its templates from a fixed path; the path is replaced by one of the same length, relative to
# the working folder.
$(UNPACKED): | $(BIN)/uv
	@echo "setup: fetching $(wordlist 1,4,$(SERVERS)) from Debian"
	@mkdir -p $(VENV)/debian; cd $(VENV)/debian; \
	get="apt-get download -qq -o APT::Sandbox::User=root $(SERVERS)"; \
	$$get 2>/dev/null || { ../../deployments/debian.sh "apt's list of packages"; $$get; }; \
	for p in *.deb; do dpkg-deb -x $$p .; rm $$p; done; \
	LC_ALL=C sed -i 's|/usr/share/prometheus/alertmanager|usr//share/prometheus/alertmanager|g' usr/bin/prometheus-alertmanager
	@touch $@

demo: setup ## show the main job on this machine (ONCE=1: run it once and exit)
	@$(BIN)/edgecap demo $(if $(ONCE),--once)

# An hour is six times what an idle machine takes; tests/watchdog.py ends a test that hangs long before.
test: setup-dev apt lint types ## lint, types and all tests
	@timeout --foreground --signal=INT --kill-after=60 3600 $(BIN)/pytest -n 4 --dist loadgroup --durations=15 --durations-min=1

test-fast: setup-dev ## the tests without servers
	@$(BIN)/pytest -n 2 -m "not prefect and not e2e"

stress-test: setup-dev apt ## the tests with servers, three times, under CPU load (TIMES=3, LOAD=6)
	@$(BIN)/python -m tests.stress $(if $(TIMES),--times $(TIMES)) $(if $(LOAD),--load $(LOAD)) \
	  $(BIN)/pytest -n 2 --dist loadgroup $(or $(ONLY),$(SLOW))

search: setup-dev ## property and state machine tests with random inputs, for an hour
	@$(BIN)/pytest -n 2 --dist loadgroup --hypothesis-profile=long -m "not prefect and not e2e" -k 'not ceph' $(ONLY)

fuzz: setup-dev ## fuzz the packet parsers for SECONDS=600 (needs atheris: Python below 3.14)
	@$(BIN)/python -m tests.fuzz.packets --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1)

mutants: setup-dev ## mutation tests of the modules that post, adopt and wait (ONLY=lanes,line MOST=50)
	@$(BIN)/python -m tests.mutants --only '$(ONLY)' --most $(or $(MOST),0)

lint: setup-dev
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .

types: setup-dev
	@$(BIN)/mypy

bench: bench-fetch bench-packets bench-overhead ## fetching compared with s5cmd, packets with capinfos, tshark and mergecap; overhead of a capture

bench-fetch: setup-dev
	@$(BIN)/python -m benches.fetch

bench-gcs: setup-dev ## reading from GCS compared with Google's library
	@$(BIN)/python -m benches.gcs_reading

bench-packets: setup-dev apt
	@$(BIN)/python -m benches.packets

# Rules are tuned on one half of the corpus (HALF=tuned), and docs/verdicts.md reports on the other.
bench-verdict: setup-dev ## how right verdicts are, on a corpus whose truth is known, and docs/verdicts.md from it (HALF=tuned PART=0.1 MINUTES=30)
	@$(BIN)/python -m benches.verdict $(if $(HALF),--half $(HALF) --misses --to /dev/null) $(if $(PART),--part $(PART)) $(if $(MINUTES),--minutes $(MINUTES))

bench-propose: setup-dev ## proposing filters against an attack, and back-testing them, on 10 million packets
	@$(BIN)/python -m benches.propose

bench-analytics: setup-dev ## whether full captures go where attacks are, and what a million of Logpush's rows take (WITH='--attacks 10')
	@$(BIN)/python -m benches.analytics $(WITH)
	@$(BIN)/python -m benches.analytics_rows $(WITH)

bench-overhead: setup-dev
	@$(BIN)/python -m benches.overhead

bench-lanes: setup-dev ## lanes in real time: utilisation and cost of waiting (40 minutes)
	@$(BIN)/python -m benches.lanes

bench-receiver: setup-dev ## alerts: time to the answer 202, at 200 a second
	@$(BIN)/python -m benches.receiver

kill-test: setup-dev ## kill the receiver 24 times at 200 alerts a second: nothing lost, nothing acted on twice (KILLS=24 RATE=200 SEED=1)
	@$(BIN)/python -m tests.receiver_kills --kills $(or $(KILLS),24) --rate $(or $(RATE),200) --seed $(or $(SEED),1)

bench-cancel: setup-dev ## 50 full captures cancelled at random moments under load: seconds to the stop (25 minutes)
	@$(BIN)/python -m benches.cancel

bench-alerts: setup-dev ## alerts: time to the capture, also after an outage of Prefect (WITH='--hostile 64': beside hostile senders)
	@$(BIN)/python -m benches.alerts $(WITH)

bench-cost: setup-dev $(if $(findstring postgresql,$(WITH)),postgresql) ## what a capture costs: processor time, commits, memory, beside a plain Prefect flow (WITH='--in-line 0,50')
	@$(BIN)/python -m benches.cost $(WITH)

bench-database: setup-dev postgresql ## SQLite and PostgreSQL as Prefect's database: start, memory, a burst of 50 runs
	@$(BIN)/python -m benches.database

# docs/faults.jsonl records each case and its commit, and the next run continues from there;
# AGAIN=violations, older or all repeats those cases.
faults: setup-dev apt postgresql ## the fault matrix, and docs/faults.md from it; continues where it stopped (SEED=1, SITES=6, ONLY='pattern', AGAIN=all)
	@$(BIN)/python -m tests.faults --seed $(or $(SEED),1) --sites $(or $(SITES),6) \
	  --results '$(or $(RESULTS),docs/faults.jsonl)' --resume $(if $(AGAIN),--again $(AGAIN)) $(if $(ONLY),--only '$(ONLY)') --report docs/faults.md

# In a separate environment: the newest Prefect that resolves, with its server's dependencies; all else as locked.
canary: setup-dev ## the Prefect tests against the newest Prefect, beyond the pins (ONLY=tests/canary)
	@mkdir -p $(VENV)/canary; cp requirements-dev.lock $(VENV)/canary/requirements.lock
	@$(BIN)/python -m tests.canary.newest >$(VENV)/canary/requirements.in
	@$(INSTALL) --uv pip compile $(VENV)/canary/requirements.in --python $(BIN)/python --no-header --quiet \
	  --upgrade-package prefect --upgrade-package fastapi --upgrade-package sqlalchemy -o $(VENV)/canary/requirements.lock
	@$(INSTALL) --uv venv --quiet --clear --seed --python $(BIN)/python $(VENV)/canary/env
	@$(INSTALL) --uv pip install --quiet --compile-bytecode --python $(VENV)/canary/env/bin/python -r $(VENV)/canary/requirements.lock
	@$(INSTALL) --uv pip install --quiet --python $(VENV)/canary/env/bin/python --no-deps -e .
	@grep -E '^(prefect|fastapi|sqlalchemy)==' $(VENV)/canary/requirements.lock | xargs echo "canary:"
	@$(VENV)/canary/env/bin/pytest -n 2 --dist loadgroup --tb=short $(or $(ONLY),tests/canary tests/tasks tests/deployments tests/flows)

# Without its service: the matrix starts a server in a temporary folder.
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

lock: $(BIN)/uv ## update the lock files
	@$(INSTALL) --uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --quiet \
	  --extra demo --group dev -o requirements-dev.lock
	@$(INSTALL) --uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --quiet \
	  --extra demo -c requirements-dev.lock -o requirements.lock
	@echo mitmproxy==11.0.2 | $(INSTALL) --uv pip compile - --universal --python-version 3.11 --generate-hashes --no-header --quiet \
	  -o requirements-mitmproxy.lock

clean: ## remove the environment and all state of demo and tests; keeps that of `edgecap up`
	@rm -rf $(VENV) .edgecap/demo .edgecap/demo-prefect.db .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
