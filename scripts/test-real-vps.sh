#!/usr/bin/env bash
# Installs the gateway by `make deploy-vps` on a Debian with systemd that is started for it, and keeps the output in docs/real-runs.md.
# Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --quiet
out=$(mktemp)
trap 'rm -f "$out"' EXIT
tests/real/vps.sh target/debug/smartermcp | tee "$out"
scripts/keep-run.sh "A machine with systemd" "$out"
