# What a developer and an operator type. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo

.PHONY: help demo test lint unit build run bench openapi sdk claude-config clients test-real test-real-docker test-real-prometheus test-real-replicas test-real-odoo test-real-image test-real-vps test-vault test-faults test-prepare release deploy-vps check-deploy screenshots

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

demo: ## Start the gateway with a tenant, a token and a shop's systems, all played, and print what to paste
	$(CARGO) run --quiet -- demo

test: test-prepare lint unit ## Install what is missing, then run everything: format, clippy, the suite, a minute of faults, conformance, real clients
	@$(MAKE) --no-print-directory test-faults SECS=60 SEED=7

test-prepare:
	@scripts/prepare-tests.sh

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

# The suite twice: on the embedded parts, and on a PostgreSQL and a Redis that are started for it.
unit:
	@if $(CARGO) nextest --version >/dev/null 2>&1; then run="nextest run"; else \
	  echo "cargo-nextest is not installed; cargo test does the same, slower"; run=test; \
	fi; \
	echo "== on SQLite, limits in process"; \
	$(CARGO) $$run --locked --no-fail-fast; \
	echo "== on PostgreSQL and Redis"; \
	scripts/with-servers.sh $(CARGO) $$run --locked --no-fail-fast

clients: ## Install the packages of the conformance suite and the real clients
	@scripts/prepare-tests.sh

build: ## Build the release binary: target/release/smartermcp
	$(CARGO) build --locked --release

release: ## Build the release archive for this machine's platform, with SHA256SUMS: dist/
	scripts/release.sh

deploy-vps: ## Install or upgrade the service on a machine over ssh (HOST=root@vps.example.cl; DRY_RUN=1 only says what)
	@scripts/deploy-vps.sh

check-deploy: ## Check what lies in deploy/: shellcheck, promtool, systemd-analyze, docker compose
	@scripts/check-deploy.sh

run: build ## Serve, with the settings of the environment
	target/release/smartermcp serve

bench: build ## Measure speed and memory against its peers on this machine
	$(CARGO) bench --locked --bench gateway --no-run
	DURABLE=1 scripts/with-servers.sh $(CARGO) bench --locked --bench gateway

openapi: ## Write openapi/smartermcp.json anew
	$(CARGO) run --quiet -- openapi > openapi/smartermcp.json.new
	mv openapi/smartermcp.json.new openapi/smartermcp.json

sdk: ## Write the generated code of both SDKs anew from openapi/smartermcp.json
	python3 sdk/generate

claude-config: ## Print the lines for Claude Desktop (SMARTERMCP_URL, SMARTERMCP_API_TOKEN)
	@scripts/claude-config.sh

screenshots: ## Take the pictures of the sign-in pages in docs/images anew
	@scripts/screenshots.sh

# How long the faults go on; SEED repeats those of an earlier run.
SECS ?= 300
test-faults: ## Kill and restart Redis, PostgreSQL, replicas and a backend at random under load (SECS=300 SEED=…)
	TEST_FAULTS_SECS=$(SECS) $(if $(SEED),TEST_FAULTS_SEED=$(SEED)) $(CARGO) test --locked --test it -- --nocapture \
	  --exact faults_run::under_faults_no_accepted_write_is_lost_or_done_twice_and_all_comes_back

test-real-replicas: ## Three replicas behind a real nginx: limit, key, revocation, rolling restart under load
	scripts/with-servers.sh $(CARGO) test --locked --test it -- --nocapture --test-threads=1 nginx::

test-real: ## Run the tools against a real n8n (npm, 2.4 GB) and a real Odoo 19 (Debian sid, 1.5 GB; root), for two tenants
	@scripts/test-real.sh
	@scripts/test-real-odoo.sh

test-real-docker: ## Run the tools of services and containers against a real dockerd that is started for it (root)
	@scripts/test-real-docker.sh

test-real-prometheus: ## Run infra_metrics and infra_status against a real Prometheus (Debian's), for two tenants
	@scripts/test-real-prometheus.sh

test-real-odoo: ## Run the tools of the CRM against a real Odoo 19 (Debian sid's package, 1.5 GB; root)
	@scripts/test-real-odoo.sh

test-real-image: ## Build the image with a real dockerd that is started for it, and look at what runs (root; up to an hour)
	@scripts/test-real-image.sh

test-real-vps: ## Run deploy-vps against a Debian with systemd and sshd that is started for it (root; loopback ports 8080, 22022)
	@scripts/test-real-vps.sh

test-vault: ## Run the tests of secrets in Vault against the real one at VAULT_ADDR (VAULT_TOKEN is root's; a Vault to throw away)
	@scripts/test-vault.sh
