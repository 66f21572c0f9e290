#!/usr/bin/env bash
# Runs the tools of services and containers against a real dockerd, and keeps the output in docs/real-runs.md. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --quiet
out=$(mktemp)
trap 'rm -f "$out"' EXIT
tests/real/docker.sh target/debug/smartermcp | tee "$out"
scripts/keep-run.sh Docker "$out"
