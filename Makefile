# Everything a person or CI does here. `make` lists it.
.DEFAULT_GOAL := help
.PHONY: help setup build run test lint bench bench-quick bench-check soak install

TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing (as root) or say what is, and write .cargo/config.toml
	@scripts/setup.sh

build: setup ## build extension and relay, and a private copy of the server's files with the extension
	@scripts/build.sh

run: build ## run the chat example (or APP=tracker, APP=shop; FRESH=1: with an empty database): Postgres, deploy, relay, page; Ctrl-C ends it
	@$(TARGET)/release/pg-live dev examples/$(or $(APP),chat) $(if $(FRESH),--fresh)

test: build ## run all tests; SUITES="unit e2e" runs only these
	@scripts/test.sh $(SUITES)

lint: setup ## check formatting, lints and file sizes
	@scripts/test/lint.sh

bench: build ## measure and write bench/report
	@bench/run.sh

bench-quick: build ## one point of each part of the bench, in five minutes
	@BENCH_QUICK=1 bench/run.sh

bench-check: build ## compare ratios and instruction counts with bench/baseline.json; UPDATE=1 writes it
	@UPDATE=$(UPDATE) ONLY=$(ONLY) bench/check.sh

soak: build ## the simulator for MINUTES (10), a million calls in one backend, races, ROUNDS (1000) of damage from SEED on
	@scripts/soak.sh $(MINUTES)

install: build ## install the extension into the server of pg_config, and pg-live into /usr/local/bin
	@scripts/install.sh
