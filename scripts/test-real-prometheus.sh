#!/usr/bin/env bash
# Runs infra_metrics and infra_status against a real Prometheus, and keeps the output in docs/real-runs.md.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --quiet
out=$(mktemp)
trap 'rm -f "$out"' EXIT
tests/real/prometheus.sh target/debug/smartermcp | tee "$out"
scripts/keep-run.sh Prometheus "$out"
