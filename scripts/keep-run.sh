#!/usr/bin/env bash
# keep-run.sh NAME FILE: puts a run's report (its first heading is "## NAME, date") into docs/real-runs.md, in place of the one before.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1 report=$2 kept=docs/real-runs.md
new=$(mktemp)
trap 'rm -f "$new"' EXIT
if [ -f "$kept" ]; then
  awk -v heading="## $name," '/^## / { skip = index($0, heading) == 1 } !skip' "$kept" | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' >"$new"
else
  printf '# Runs against real services\n\nWhat `make test-real` and its kin printed last. The services here are real, not played.\n' >"$new"
fi
{ echo; cat "$report"; } >>"$new"
cat "$new" >"$kept"
