#!/usr/bin/env bash
# Checks what lies in deploy/ by the tools that it is for, without starting any of it: shellcheck, promtool, systemd-analyze and
# Docker Compose. What is missing is installed where this is root on Debian, and else named.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "check-deploy: $1" >&2; exit 1; }

missing=()
command -v shellcheck >/dev/null || missing+=(shellcheck)
command -v promtool >/dev/null || missing+=(prometheus)
command -v systemd-analyze >/dev/null || missing+=(systemd)
docker compose version >/dev/null 2>&1 || missing+=(docker-compose)
if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then fail "these are missing: ${missing[*]} (their names in Debian)"; fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >&2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "== shellcheck"
git ls-files 'deploy/*.sh' 'scripts/*.sh' tests/real/image.sh tests/real/vps.sh | xargs shellcheck --severity=warning --external-sources --source-path=SCRIPTDIR

echo "== promtool"
promtool check rules deploy/prometheus/alerts.yml
promtool test rules deploy/prometheus/alerts.test.yml
promtool check config deploy/prometheus/prometheus.yml
# The dashboard's queries, as rules, so that promtool reads them; Grafana's variables are filled in as Grafana does.
python3 - "$work/dashboard.yml" <<'PYTHON'
import json, sys
found = []
def walk(value):
    if isinstance(value, dict):
        if isinstance(value.get("expr"), str):
            found.append(value["expr"])
        value = list(value.values())
    if isinstance(value, list):
        for inside in value:
            walk(inside)
walk(json.load(open("deploy/grafana/dashboards/smartermcp.json")))
filled = [e.replace("$__rate_interval", "1m").replace("$tool", ".*").replace("$agent", ".*") for e in found]
rules = [{"record": f"panel:{n}", "expr": e} for n, e in enumerate(filled)]
json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, open(sys.argv[1], "w"))
PYTHON
promtool check rules "$work/dashboard.yml"

echo "== systemd-analyze"
unit=deploy/systemd/smartermcp.service
# It wants the program to be there; that one's place is taken by another.
sed 's#=/usr/local/bin/smartermcp #=/bin/true #; /^Documentation=/d' "$unit" >"$work/smartermcp.service"
systemd-analyze verify --man=no "$work/smartermcp.service"
systemd-analyze security --offline=true --threshold=20 "$unit" | tail -1

echo "== docker compose"
cp -R deploy "$work/deploy"
cd "$work/deploy/compose"
rm -rf secrets
cp .env.example .env
! ./make-secrets.sh 2>"$work/said" || fail "make-secrets.sh takes the domain of the example"
grep -q 'say SMARTERMCP_DOMAIN in .env' "$work/said" && [ ! -e secrets ] || fail "$(cat "$work/said")"
sed -i 's/^SMARTERMCP_DOMAIN=.*/SMARTERMCP_DOMAIN=checked.example.cl/; s/^ACME_EMAIL=.*/ACME_EMAIL=checked@example.cl/' .env
./make-secrets.sh
before=$(cat secrets/* | sha256sum)
./make-secrets.sh >/dev/null
[ "$before" = "$(cat secrets/* | sha256sum)" ] || fail "make-secrets.sh replaced a secret"
docker compose version || fail "Docker Compose 2 is wanted, as a plugin of docker (Debian 13 has it; the docker-compose of Debian 12 is version 1)"
for profile in small full vault; do
  said=$(docker compose --profile "$profile" config 2>&1 >"$work/$profile.yaml") || fail "$profile: $said"
  [ -z "$said" ] || fail "$profile: $said"
  echo "$profile: $(docker compose --profile "$profile" config --services | sort | paste -sd ' ')"
done
# What clients are told is where the port is published, whichever it is.
SMARTERMCP_PORT=9090 docker compose --profile small config | grep -qx ' *SMARTERMCP_PUBLIC_URL: http://127.0.0.1:9090' ||
  fail "the small install does not know its port"
# No secret is in what Compose shows.
secret=$(cat secrets/database_password)
! grep -q "$secret" "$work"/*.yaml || fail "a secret is in the configuration"
