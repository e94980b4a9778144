# make race                        set up what is needed and run scenarios/quick.yaml
# make race SCENARIO=FILE          another scenario
# make sweep                       sweep scenarios/matrix-small.yaml (39 small cells), or go on with it
# make sweep SWEEP=FILE            another matrix
# make test                        set up what is needed and pass all tests
# make bench                       the figures that the README shows
# make report                      the report of results/ in report/ (docs/report.md)
# make results                     the tables and reports in docs/results/, from the raw results there
# make e2e                         scenarios/quick.yaml on the cluster in KUBECONFIG, from the image to nothing left
# make e2e LOAD="kind load docker-image --name race"     how the image gets to its nodes (tests/e2e/image)
# make e2e-faults                  lost pods, a lost tracker, no image, no room: results or refusals
# make e2e-codex                   the Codex chart with the test double
# make e2e-swarm                   32 pods an entrant
# make e2e-charts                  ct lint and ct install, every ci/*-values.yaml
# make e2e-argo                    quick.yaml from a git repository, by the Argo CD in that cluster
# make e2e-sweep                   a small matrix by the Argo Workflows in that cluster
# make test CLUSTER=FOLDER         a folder with a program `build` whose `--path` has a helm, used where PATH has none
# make test COVERAGE=1             how much of the package the tests run, line by line
# Set-up happens once, inside the checkout (.venv); the second time everything works offline.

SCENARIO ?= scenarios/quick.yaml
SWEEP    ?= scenarios/matrix-small.yaml
REPORT_FOLDERS ?= results
PYTHON   ?= python3
VENV     := .venv
BIN      := $(VENV)/bin
# Tests race real swarms: more workers than cores only make them wait for each other.
# By file, so that what a module sets up once is set up once (xdist 3.8's groups do nothing under
# pytest 9.2).
TEST_ARGS ?= -q -n 2 --dist loadfile

# Chart tests take the helm on PATH, otherwise the one of CLUSTER, otherwise they build this one.
HELM := helm.sh/helm/v4/cmd/helm@v4.3.1
# The folder of a helper cluster: programs up, down, in, load and build. Empty: there is none.
CLUSTER ?=
# For e2e: the image's name, and the commands that build it and bring it to the nodes.
IMAGE ?= localhost/swarmrace:0.1.0
export CLUSTER IMAGE BUILD LOAD START_SECONDS

.PHONY: race sweep test helm lint bench report results e2e lock clean
.DELETE_ON_ERROR:

race: $(VENV)/.ready
	@$(BIN)/swarmrace run "$(SCENARIO)" $(RACE_ARGS) || { code=$$?; \
	  echo "swarmrace: exit code $$code (docs/cli.md, Exit codes)" >&2; exit $$code; }

sweep: $(VENV)/.ready
	@$(BIN)/swarmrace sweep "$(SWEEP)" $(SWEEP_ARGS) || { code=$$?; \
	  echo "swarmrace: exit code $$code (docs/cli.md, Exit codes)" >&2; exit $$code; }

# Set COVERAGE_CORE=sysmon on Python 3.12 and later: it costs less.
ifdef COVERAGE
TEST_ARGS += --cov --cov-report=term:skip-covered
endif

test: $(VENV)/.ready-dev helm
	@$(BIN)/python -m pytest $(TEST_ARGS)

lint: $(VENV)/.ready-dev
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .
	@$(BIN)/lint-imports --no-logo --cache-dir .import_linter_cache
	@$(BIN)/mypy --no-error-summary

bench: $(VENV)/.ready-dev
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

report: $(if $(wildcard $(VENV)/.ready-dev),$(VENV)/.ready-dev,$(VENV)/.ready-report)
	@$(BIN)/swarmrace report $(REPORT_FOLDERS) -o report $(REPORT_ARGS)

results: $(VENV)/.ready-dev
	@$(BIN)/python docs/results/tables.py
	@for raw in docs/results/*/raw; do \
	  $(BIN)/swarmrace report $$raw -o $${raw%raw}report --title "$$(sed -n '1s/^# //p' $${raw%raw}README.md)"; \
	done

helm: $(VENV)/.ready-dev
	@if command -v helm >/dev/null || [ -x $(BIN)/helm ]; then :; \
	elif [ -n "$(CLUSTER)" ] && [ -x "$(CLUSTER)/build" ] && [ -x "$$("$(CLUSTER)/build" --path)/helm" ]; then :; \
	elif ! command -v go >/dev/null; then \
	  echo "no helm and no Go here: the charts are NOT tested (install helm, or Go to have it built)"; \
	else \
	  echo "building helm into $(BIN) (once, minutes)"; \
	  CGO_ENABLED=0 GOFLAGS= GOBIN=$(abspath $(BIN)) go install -trimpath -ldflags "-s -w" $(HELM) || \
	  echo "helm could not be built: the charts are NOT tested (install helm)"; \
	fi

# In the one-node cluster's network namespace no registry can be reached: set-up happens outside.
e2e: e2e-race

e2e-%:
	@tests/e2e/outside $(MAKE) --no-print-directory $(VENV)/.ready-dev
	@$(BIN)/python -m pytest -x -s -q tests/e2e/$*.py $(E2E_ARGS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"swarmrace needs Python 3.11 or newer, found {v[0]}.{v[1]}: install one and say make PYTHON=python3.12")'
	@if command -v uv >/dev/null; then uv venv --quiet --no-python-downloads --python "$$(command -v $(PYTHON))" $(VENV); \
	else $(PYTHON) -m venv --without-pip $(VENV); fi

# Debian's python3 has no ensurepip: its own pip installs into the environment.
define install
	@echo "setting up $(VENV) (once)"
	@if command -v uv >/dev/null; then \
	  VIRTUAL_ENV=$(VENV) uv pip install --quiet --require-hashes $(1) && \
	  VIRTUAL_ENV=$(VENV) uv pip install --quiet --no-deps --no-build-isolation --editable .; \
	else \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes $(1) && \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet --no-deps --no-build-isolation --editable .; \
	fi
	@touch $@
endef

$(VENV)/.ready: requirements/runtime.txt requirements/build.txt pyproject.toml | $(VENV)/bin/python
	$(call install,-r requirements/runtime.txt -r requirements/build.txt)

$(VENV)/.ready-report: requirements/report.txt requirements/build.txt pyproject.toml | $(VENV)/bin/python
	$(call install,-r requirements/report.txt -r requirements/build.txt)
	@touch $(VENV)/.ready

$(VENV)/.ready-dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	$(call install,-r requirements/dev.txt)
	@touch $(VENV)/.ready

# Versions with hashes and without addresses, for every platform and Python at once.
lock:
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml -o requirements/runtime.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c requirements/runtime.txt pyproject.toml --extra report --group dev -o requirements/dev.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c requirements/dev.txt pyproject.toml --extra report -o requirements/report.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c requirements/dev.txt requirements/build.in -o requirements/build.txt

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
