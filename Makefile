# make race                        install what is needed and race scenarios/quick.yaml
# make race SCENARIO=FILE          race another scenario
# make sweep                       start or resume a sweep of scenarios/matrix-small.yaml (39 small cells)
# make sweep SWEEP=FILE            sweep another matrix
# make test                        install what is needed and run all tests
# make systems                     build or unpack programs of other projects (kubo, Transmission, benchstat) into a cache
# make lint                        check style, types and layers
# make bench                       measure the figures in the README
# make report                      write the report on results/ to report/ (docs/report.md)
# make results                     write the tables and reports in docs/results/ from their raw results
# make e2e                         race scenarios/quick.yaml on the cluster in KUBECONFIG, from building the image to cleanup
# make e2e START_SECONDS=10        and fail if the first transfer begins later than so after the install
# make e2e LOAD="kind load docker-image --name race"     load the image to the nodes with this command (tests/e2e/image)
# make e2e-faults                  lose pods and the tracker, lack an image and room: results or refusals
# make e2e-codex                   race the chart with Codex' test double
# make e2e-systems                 race kubo, Transmission and any program in pods (after make systems)
# make e2e-report-image            make a report in a pod of the image target `report`
# make e2e-swarm                   race 32 pods per entrant
# make e2e-charts                  run ct lint and ct install with every ci/*-values.yaml
# make e2e-argo                    race quick.yaml from a git repository with Argo CD in that cluster
# make e2e-sweep                   race a small matrix with Argo Workflows in that cluster
# make e2e-sweep-on-kubernetes     race two cells by `swarmrace sweep --on kubernetes`, interrupted twice
# make e2e-app-of-apps             race three scenarios one after another with Argo CD in that cluster
# make test CLUSTER=FOLDER         use the helm of a helper cluster (`FOLDER/build --path`) if PATH has none
# make test COVERAGE=1             also report what share of each package the tests run
# Installation happens once, inside the checkout (.venv). After that everything works offline.

SCENARIO ?= scenarios/quick.yaml
SWEEP    ?= scenarios/matrix-small.yaml
REPORT_FOLDERS ?= results
PYTHON   ?= python3
VENV     := .venv
BIN      := $(VENV)/bin
# Tests race real swarms, so more workers than cores only wait for each other. Tests are distributed
# by file, so that module fixtures are set up once (xdist 3.8's groups do nothing under pytest 9.2).
TEST_ARGS ?= -q -n 2 --dist loadfile

# Chart tests use the helm on PATH, or that of CLUSTER, or build this one.
HELM := helm.sh/helm/v4/cmd/helm@v4.3.1
# Folder of a helper cluster with the programs up, down, in, load and build. Empty for none.
CLUSTER ?=
# For e2e: the image's name, and the commands that build it and load it to the nodes.
IMAGE ?= localhost/swarmrace:0.1.0
export CLUSTER IMAGE BUILD LOAD START_SECONDS

.PHONY: race sweep systems test helm lint bench report results e2e lock clean
.DELETE_ON_ERROR:

race: $(VENV)/.ready
	@$(BIN)/swarmrace run "$(SCENARIO)" $(RACE_ARGS) || { code=$$?; \
	  echo "swarmrace: exit code $$code (docs/cli.md, Exit codes)" >&2; exit $$code; }

sweep: $(VENV)/.ready
	@$(BIN)/swarmrace sweep "$(SWEEP)" $(SWEEP_ARGS) || { code=$$?; \
	  echo "swarmrace: exit code $$code (docs/cli.md, Exit codes)" >&2; exit $$code; }

# On Python 3.12 and later COVERAGE_CORE=sysmon makes it faster.
ifdef COVERAGE
override TEST_ARGS += --cov --cov-report=json:.coverage.json
endif

test: $(VENV)/.ready-dev helm
	@$(BIN)/python -m pytest $(TEST_ARGS); code=$$?; \
	  $(if $(COVERAGE),$(BIN)/python tests/support/coverage_by_package.py .coverage.json;) \
	  echo "pytest: exit code $$code"; exit $$code

lint: $(VENV)/.ready-dev
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .
	@$(BIN)/lint-imports --no-logo --cache-dir .import_linter_cache
	@$(BIN)/mypy --no-error-summary

# Needs Go; minutes, once. Tests that race a real program are skipped without it.
systems:
	@programs/build

bench: $(VENV)/.ready-dev
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

report: $(if $(wildcard $(VENV)/.ready-dev),$(VENV)/.ready-dev,$(VENV)/.ready-report)
	@$(BIN)/swarmrace report $(REPORT_FOLDERS) -o report $(REPORT_ARGS)

results: $(VENV)/.ready-dev
	@$(BIN)/python docs/results/tables.py --reports

helm: $(VENV)/.ready-dev
	@if command -v helm >/dev/null || [ -x $(BIN)/helm ]; then :; \
	elif [ -n "$(CLUSTER)" ] && [ -x "$(CLUSTER)/build" ] && [ -x "$$("$(CLUSTER)/build" --path)/helm" ]; then :; \
	elif ! command -v go >/dev/null; then \
	  echo "no helm and no Go found: the charts are NOT tested (install helm, or Go to build it)"; \
	else \
	  echo "building helm into $(BIN) (once, minutes)"; \
	  CGO_ENABLED=0 GOFLAGS= GOBIN=$(abspath $(BIN)) go install -trimpath -ldflags "-s -w" $(HELM) || \
	  echo "helm could not be built: the charts are NOT tested (install helm)"; \
	fi

# The one-node cluster's network namespace can't reach a registry, so installation happens outside.
e2e: e2e-race

e2e-%:
	@tests/e2e/outside $(MAKE) --no-print-directory $(VENV)/.ready-dev
	@$(BIN)/python -m pytest -x -s -q tests/e2e/$(subst -,_,$*).py $(E2E_ARGS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"swarmrace needs Python 3.11 or newer, found {v[0]}.{v[1]}: install one and run make PYTHON=python3.12")'
	@if command -v uv >/dev/null; then uv venv --quiet --no-python-downloads --python "$$(command -v $(PYTHON))" $(VENV); \
	else $(PYTHON) -m venv --without-pip $(VENV); fi

# Debian's python3 has no ensurepip, so the system's pip installs into the environment.
define install
	@echo "installing into $(VENV) (once)"
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

# Versions with hashes and without addresses, for all platforms and Python versions.
lock:
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml -o requirements/runtime.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c requirements/runtime.txt pyproject.toml --extra report --group dev -o requirements/dev.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c requirements/dev.txt pyproject.toml --extra report -o requirements/report.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c requirements/dev.txt requirements/build.in -o requirements/build.txt

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
