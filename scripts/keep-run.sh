#!/usr/bin/env bash
# Puts the output of a run against a real service into docs/real-runs.md, in the place of the section that the service has there.
#
#   scripts/keep-run.sh n8n < output      # the output begins with "## n8n, "
set -euo pipefail
cd "$(dirname "$0")/.."
page=docs/real-runs.md
new=$(mktemp)
trap 'rm -f "$new"' EXIT
{
  if [ -e "$page" ]; then
    awk -v name="## $1," 'index($0, "## ") == 1 { drop = index($0, name) == 1 } !drop' "$page" | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
  else
    printf '# Runs against real services\n\nWhat each run printed last. The services here are real, not played.\n'
  fi
  echo
  cat
} > "$new"
cat "$new" > "$page"
