SHELL := /bin/sh
CLASSIFIER ?=
POLICY ?=
UPSTREAMS ?=
RUN_ARGUMENTS ?=
BENCH_ARGUMENTS ?=
bin := .venv/bin

.DEFAULT_GOAL := help
# Branches of the proxy, the policy core and the tools that their own tests reach, in percent.
coverage_floor := 90

.PHONY: help run test test-vllm coverage bench cards check-code lock clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

run: .venv/.ready-run  ## Run Triton, the proxy and two demo upstreams (CLASSIFIER=keyword, POLICY=..., UPSTREAMS=...)
	@$(bin)/semrouter up $(if $(POLICY),--policy $(POLICY)) $(if $(CLASSIFIER),--classifier $(CLASSIFIER)) \
		$(if $(UPSTREAMS),--upstreams $(UPSTREAMS)) $(RUN_ARGUMENTS)

test: check-code  ## Run every check and every test but those on real vLLM
	$(bin)/python -m pytest --ignore=tests/vllm

test-vllm: .venv/.ready-test  ## Run the tests on two real vLLM servers (CPU; 3.4 GB in .tools)
	local/prepare-vllm.sh
	$(bin)/python -m pytest tests/vllm

coverage: .venv/.ready-test  ## Measure branch coverage of the tests that run in one process; fails below the floor
	$(bin)/python -m pytest -q --cov --cov-report=term --cov-fail-under=$(coverage_floor) \
		tests/routing_policy tests/router_proxy tests/local tests/export \
		--ignore=tests/export/training --ignore=tests/export/encoders

bench: .venv/.ready-test  ## Measure speed beside peers and the machine's limit into benchmarks/results (BENCH_ARGUMENTS=--full)
	benchmarks/prepare-tools.sh
	$(bin)/python -m benchmarks $(BENCH_ARGUMENTS)

cards: .venv/.ready-test  ## Measure the bundled classifiers on the shipped prompts and write docs/cards
	@for version in $(wildcard model_repository/*_classifier/[0-9]*); do \
		card=docs/cards/$$(basename $$(dirname $$version))-$$(basename $$version); \
		$(bin)/semrouter eval $$version --dress-prompts 30 --json $$card.json > /dev/null && \
		$(bin)/semrouter bundle card $$version --evaluation $$card.json > $$card.md || exit 1; \
	done

check-code: .venv/.ready-test  ## Run the linters and the type checker
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy

lock:  ## Pin the newest dependencies that pyproject.toml admits
	: > requirements.lock
	rm -rf .venv
	local/prepare.sh local,export,test,bench,dev
	$(bin)/pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock

clean:  ## Remove the virtual environment and everything a run left behind
	rm -rf .venv .run .tools

.venv/.ready-run: pyproject.toml requirements.lock
	local/prepare.sh local
	@touch $@

.venv/.ready-test: pyproject.toml requirements.lock
	local/prepare.sh local,export,test,bench,dev
	@touch $@ .venv/.ready-run
