#!/usr/bin/env bash
# Runs the tools of the CRM against a real Odoo 19, and keeps the output in docs/real-runs.md. Needs root, for PostgreSQL's user.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --quiet
out=$(mktemp)
trap 'rm -f "$out"' EXIT
tests/real/odoo.sh target/debug/smartermcp | tee "$out"
scripts/keep-run.sh Odoo "$out"
