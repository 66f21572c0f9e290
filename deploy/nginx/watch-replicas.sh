#!/usr/bin/env bash
# Tells nginx which replicas take calls, by their /health/ready:
#   watch-replicas.sh /etc/nginx/smartermcp-replicas 10.0.0.1:8080 10.0.0.2:8080 10.0.0.3:8080
# Whenever that changes it writes the file anew and reloads nginx, whose old workers end the calls that they have.
#
# RELOAD  how nginx is reloaded (default: nginx -s reload)
# EVERY   seconds between two looks (default 1). SMARTERMCP_DRAIN_SECS of the replicas must be longer than this and a reload.
set -euo pipefail

file=$1
shift
reload=${RELOAD:-nginx -s reload}

while true; do
  lines=""
  ready=0
  for address in "$@"; do
    mark=" down"
    if curl --silent --fail --output /dev/null --max-time 2 "http://$address/health/ready"; then
      mark=""
      ready=$((ready + 1))
    fi
    lines+="server $address max_fails=3 fail_timeout=5s$mark;"$'\n'
  done
  # When none is ready (the database is away), all stay: they say themselves what is wrong.
  if [ "$ready" -gt 0 ] && [ "$lines" != "$(cat "$file" 2>/dev/null)"$'\n' ]; then
    printf '%s' "$lines" >"$file.new"
    mv "$file.new" "$file"
    $reload || echo "watch-replicas.sh: nginx could not be reloaded" >&2
  fi
  sleep "${EVERY:-1}"
done
