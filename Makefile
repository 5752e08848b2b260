SHELL := /bin/bash
PYTHON := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help run up observe down test simulate e2e test-docker safeguards check fmt generate bench clean

help:
	@awk -f scripts/menu.awk $(MAKEFILE_LIST)

##@ Use
run: ## a whole system on this machine, at http://localhost:8000 (PORT, HANDLER_SECONDS, RABBITMQ_URL, DATABASE_URL)
	@scripts/bootstrap run
	@exec .venv/bin/activation run

##@ Use in Kubernetes
up: ## the whole system in a kind cluster, at http://localhost:8000 (PORT, KIND_CLUSTER, KIND_NODE_IMAGE, CHARTS, KIND_LOAD)
	@scripts/cluster up

observe: ## traces, metrics and dashboards beside it (OBSERVE_WITHOUT leaves parts out)
	@scripts/cluster observe

down: ## delete that cluster
	@scripts/cluster down

##@ Develop
test: ## all tests, or a part: make test T=tests/unit
	@scripts/bootstrap test
	@scripts/test $(T)

simulate: ## thousands of fault schedules on a virtual clock (SEEDS=5000; SEED=123 replays one)
	@scripts/bootstrap test
	@SEEDS=$(or $(SEEDS),5000) scripts/test -n auto tests/simulation -k promises

test-docker: ## the tests that need servers, on RabbitMQ 4.3 and PostgreSQL 18 in containers
	@scripts/bootstrap test
	@scripts/test -n 2 --dist loadfile --servers=docker $(or $(T),tests/integration tests/faults tests/conformance/test_broker_session.py)

safeguards: ## take each safeguard out, and see a scenario of activation verify fail by it; 11 minutes
	@scripts/bootstrap test
	@scripts/test tests/safeguards

e2e: ## the tests in a kind cluster of their own, 20 minutes (T=tests/e2e/test_kills.py; E2E_CLUSTER keeps one)
	@scripts/cluster check
	@scripts/bootstrap e2e
	@scripts/test $(or $(T),tests/e2e)

check: ## lint, format, types, generated files in step, known vulnerabilities, SBOM (dist/sbom.cdx.json)
	@scripts/bootstrap check
	@scripts/check

fmt: ## repair format and lint where a machine can
	@scripts/bootstrap test
	@$(PYTHON) -m ruff format
	@$(PYTHON) -m ruff check --fix

generate: ## write dashboards, rules and alerts from observability/ into the chart
	@scripts/bootstrap test
	@$(PYTHON) -m observability.generate

bench: ## measure, beside bare FastAPI and a bare aio-pika loop; results in bench/
	@scripts/bootstrap bench
	@$(PYTHON) -m bench.run && $(PYTHON) -m bench.report

clean: ## delete what was made here: environment, caches, the tasks of make run
	rm -rf .venv .tools .run .e2e dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
