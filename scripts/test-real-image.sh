#!/usr/bin/env bash
# Builds the image with a real dockerd and looks at what runs, and keeps the output in docs/real-runs.md. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
tests/real/image.sh | tee "$out"
scripts/keep-run.sh "The image" "$out"
