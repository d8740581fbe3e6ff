# Everything a person or a pipeline does here. Needs python3 (3.11 or newer, with venv), pip and make, and nothing else.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
BIN := .venv/bin
PROTOC_PYTHON := .venv-protos/bin/python
# Most tests wait for servers of their own, so a process more than the two cores of a pipeline is worth its while.
SIDE_BY_SIDE ?= --numprocesses=3 --dist=loadfile --no-loadscope-reorder
LOCKED := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links

SCHEMAS := tests/deployment/drivers/schemas/requirements

.PHONY: help
help: ## Show this list.
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  \033[36mmake %-16s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: .venv/.installed ## Set up .venv from requirements.lock; the other targets do it by themselves.

.PHONY: demo
demo: .venv/.installed ## Play one model's whole life on an embedded suite and audit it.
	$(BIN)/modelog demo

.PHONY: up
up: .venv/.installed ## Run the embedded suite until Ctrl-C; data stays under .modelog/.
	$(BIN)/modelog up

.PHONY: test
test: .venv/.installed .venv-protos/.installed ## Run the tests, without the long suites.
	$(BIN)/python -m pytest tests -m "not long" --ignore=tests/bench --durations=15 $(SIDE_BY_SIDE) $(ARGS)

.PHONY: test-faults
test-faults: .venv/.installed .venv-protos/.installed .venv-mlflow/.installed ## Run the long suites: kills, full disks, lost networks.
	$(BIN)/python -m pytest tests -m long --ignore=tests/bench --timeout=1800 --durations=15 $(ARGS)

.PHONY: test-tampering
test-tampering: .venv/.installed ## Tamper with every store of facts and every view, 740 seeded cases, and find all of it.
	$(BIN)/python -m pytest tests/archive -m tampering --timeout=1800 --durations=5 $(ARGS)

# The reference implementation is heavy and needed by nothing else, so it lives in an environment of its own.
.PHONY: test-model-signing
test-model-signing: .venv/.installed ## Compare our reading of OpenSSF model signatures with the reference's.
	test -x .venv-model-signing/bin/model_signing || { $(PYTHON) -m venv .venv-model-signing && \
		.venv-model-signing/bin/pip install --quiet "model-signing==1.1.1" "pyopenssl>=25"; }
	$(BIN)/python -m pytest tests/sdk/test_model_signing.py $(ARGS)

.PHONY: test-mlflow
test-mlflow: .venv/.installed .venv-mlflow/.installed ## Import from a real MLflow server, which is installed for it.
	$(BIN)/python -m pytest tests/mlflow -m long --durations=5 $(ARGS)

# The engine, its images and the base that debootstrap makes for them stay under .modelog/engine/ for the next time.
.PHONY: test-docker
test-docker: .venv/.installed ## Run the driver `docker` on a real engine, installed and started for it as root; FAULTS=1: kills too.
	@command -v dockerd debootstrap >/dev/null && test "$$(command -v dockerd debootstrap | wc -l)" = 2 || { \
		test "$$(id -u)" = 0 || { echo "needs docker.io and debootstrap; as root this target installs them" >&2; exit 2; }; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io debootstrap; }
	MODELOG_TEST_ENGINE=.modelog/engine/data $(BIN)/python -m pytest tests/deployment -m "docker $(if $(FAULTS),,and not long)" \
		--timeout=900 --durations=10 $(ARGS)

.PHONY: test-manifests
test-manifests: .venv/.installed .venv-manifests/.installed ## Hold manifests against the published schemas of Kubernetes.
	@mkdir -p .modelog
	$(BIN)/python -m tests.deployment.drivers.manifest_cases >.modelog/manifests.json
	.venv-manifests/bin/python tests/deployment/drivers/validate_manifests.py .modelog/manifests.json

.PHONY: bench
bench: .venv/.installed ## Measure against floors of the same run; writes .modelog/bench/results.json.
	$(BIN)/python -m tests.bench $(ARGS)

.PHONY: bench-quick
bench-quick: .venv/.installed ## The same in a minute, with rougher figures.
	$(BIN)/python -m tests.bench --quick $(ARGS)

.PHONY: oracle
oracle: .venv/.installed .venv-oracle/.installed oracle-monitoring ## Let large peers compute what the tests hold ours against.
	.venv-oracle/bin/python tests/oracle/fairness.py
	$(BIN)/python -m tests.card.sample .venv-oracle/card.md
	.venv-oracle/bin/python tests/oracle/hub.py .venv-oracle/card.md

# Each peer in an environment of its own, for they want different versions of the same libraries; NannyML's takes 2 GB and Python
# below 3.13, Evidently's 1 GB and pandas below 3. Both tell their makers that they are used, unless told not to.
.PHONY: oracle-monitoring
oracle-monitoring: export NML_DISABLE_USAGE_LOGGING = 1
oracle-monitoring: export DO_NOT_TRACK = 1
oracle-monitoring: .venv/.installed ## Let the peers of monitoring compute what its tests are held against.
	test -e .venv-oracle-river/.installed || { $(PYTHON) -m venv .venv-oracle-river && \
		.venv-oracle-river/bin/pip install --quiet "river==0.26.1" && touch .venv-oracle-river/.installed; }
	test -e .venv-oracle-nannyml/.installed || { $(PYTHON) -m venv .venv-oracle-nannyml && \
		.venv-oracle-nannyml/bin/pip install --quiet "nannyml==0.13.1" statsmodels && touch .venv-oracle-nannyml/.installed; }
	.venv-oracle-river/bin/python tests/oracle/detectors.py
	.venv-oracle-nannyml/bin/python tests/oracle/estimates.py
	.venv-oracle-nannyml/bin/python tests/oracle/losses.py
	.venv-oracle-nannyml/bin/python tests/oracle/samples.py
	test -e .venv-oracle-evidently/.installed || { $(PYTHON) -m venv .venv-oracle-evidently && \
		.venv-oracle-evidently/bin/pip install --quiet "evidently==0.7.23" "pandas<3" && \
		touch .venv-oracle-evidently/.installed; }
	.venv-oracle-evidently/bin/python tests/oracle/drift.py
	$(BIN)/python -m tests.oracle.speed .venv-oracle-evidently/bin/python
	$(BIN)/python -m tests.oracle.delays

# -- checks: independent of each other, so they run side by side and all of them report.

CHECKS := check-ruff check-types check-protos check-house check-audit

.PHONY: check
check: .venv/.installed .venv-protos/.installed ## Lint, format, types, protos, house rules.
	@$(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target $(CHECKS)

.PHONY: $(CHECKS)
check-ruff: .venv/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check

check-types: .venv/.installed
	$(BIN)/mypy

check-protos: .venv/.installed .venv-protos/.installed
	$(BIN)/python -m protos.check

check-house: .venv/.installed .venv-protos/.installed
	$(BIN)/python -m pytest tests/house -q -p no:cacheprovider

check-audit: .venv/.installed
	.ci/audit --where-reachable

.PHONY: format
format: .venv/.installed ## Format the code and put right what ruff can put right.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# -- generated code

.PHONY: protos
protos: .venv-protos/.installed ## Write the generated code under libs/modelog from protos/.
	$(PROTOC_PYTHON) protos/generate.py

.PHONY: protos-baseline
protos-baseline: .venv-protos/.installed ## Accept the protos as they are; later ones may only add to them.
	$(PROTOC_PYTHON) protos/generate.py --image protos/baseline.binpb

# -- environments

.PHONY: lock
lock: .venv/.installed ## Resolve every requirements.lock; UPGRADE=1 takes the newest of everything.
	$(BIN)/uv pip compile $(LOCKED) $(if $(UPGRADE),--upgrade) --all-extras pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile $(LOCKED) $(if $(UPGRADE),--upgrade) protos/requirements.in -o protos/requirements.lock
	$(BIN)/uv pip compile $(LOCKED) $(if $(UPGRADE),--upgrade) tests/oracle/requirements.in -o tests/oracle/requirements.lock
	$(BIN)/uv pip compile $(LOCKED) $(if $(UPGRADE),--upgrade) tests/mlflow/requirements.in -o tests/mlflow/requirements.lock
	$(BIN)/uv pip compile $(LOCKED) $(if $(UPGRADE),--upgrade) $(SCHEMAS).in -o $(SCHEMAS).lock

# The lock names versions and hashes but no place to get them from: that is the machine's own configuration.
.venv/.installed: requirements.lock pyproject.toml .ci/environment
	PYTHON=$(PYTHON) .ci/environment .venv requirements.lock --editable
	@touch $@

.venv-protos/.installed: protos/requirements.lock
	PYTHON=$(PYTHON) .ci/environment .venv-protos protos/requirements.lock
	@touch $@

.venv-oracle/.installed: tests/oracle/requirements.lock
	PYTHON=$(PYTHON) .ci/environment .venv-oracle tests/oracle/requirements.lock
	@touch $@

.venv-mlflow/.installed: tests/mlflow/requirements.lock
	PYTHON=$(PYTHON) .ci/environment .venv-mlflow tests/mlflow/requirements.lock
	@touch $@

.venv-manifests/.installed: $(SCHEMAS).lock
	PYTHON=$(PYTHON) .ci/environment .venv-manifests $(SCHEMAS).lock
	@touch $@

.PHONY: image
image: ## Build the image of one service: make image SERVICE=registry.
	@test -n "$(SERVICE)" || { echo "say which: make image SERVICE=registry" >&2; exit 2; }
	docker build -f deploy/Dockerfile --build-arg SERVICE=$(SERVICE) -t modelog-$(SERVICE) .

# -- supply chain

.PHONY: audit
audit: .venv/.installed ## Compare requirements.lock with the published vulnerabilities.
	.ci/audit

# What deploy/Dockerfile installs for each service.
.PHONY: sbom
sbom: .venv/.installed ## Write a CycloneDX bill of materials of each image to .modelog/sbom/.
	deploy/bill .modelog/sbom/registry.cdx.json server
	deploy/bill .modelog/sbom/deployment.cdx.json server inference gateway kubernetes docker
	deploy/bill .modelog/sbom/monitoring.cdx.json server
	deploy/bill .modelog/sbom/archive.cdx.json server

.PHONY: clean
clean: ## Remove environments and caches; what the suite keeps under .modelog/ stays.
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
