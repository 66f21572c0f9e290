#!/usr/bin/env bash
# Runs the main job against two real n8n instances, one for each of two tenants, and keeps the output in docs/real-runs.md.
# REAL_DIR says where n8n is installed (2.4 GB, from npm, once); target/real unless said.
set -euo pipefail
cd "$(dirname "$0")/.."
export REAL_DIR=${REAL_DIR:-$PWD/target/real}
tests/real/n8n.sh
cargo build --locked --quiet
out=$(mktemp)
trap 'rm -f "$out"' EXIT
node tests/real/main_job.mjs target/debug/smartermcp | tee "$out"
scripts/keep-run.sh n8n "$out"
