#!/usr/bin/env bash
# infra_metrics and infra_status against a real Prometheus with two real node exporters, for two tenants that share it; prints a
# Markdown report.
#
#   tests/real/prometheus.sh target/debug/smartermcp
#
# Needs curl, jq, prometheus and prometheus-node-exporter; as root, what is missing is installed from Debian. Everything listens on
# loopback and free ports, and ends with the script, by its process id.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
binary=$(realpath "${1:-target/debug/smartermcp}")
# bcrypt of "luna-reads": what the Prometheus of this run asks its readers for.
password=luna-reads
hash='$2b$04$Fn4qlBIYrYM1ADv.cIqoMuYZMBf7luSirzBEYz9VmkjYUQFM0Pirm'

missing=()
for command in curl jq prometheus prometheus-node-exporter; do
  command -v "$command" >/dev/null || missing+=("$command")
done
if [ "${#missing[@]}" -gt 0 ]; then
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "these are missing: ${missing[*]}" >&2; exit 1; }
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } >&2
fi

folder=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$folder"
}
trap finish EXIT

# Free ports, below those that the system gives to clients.
taken=()
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 10000))
    [[ " ${taken[*]} " == *" $port "* ]] && continue
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue
    taken+=("$port")
    found=$port
    return
  done
}
free_port; exporter_luna=$found
free_port; exporter_sol=$found
free_port; prometheus=$found
free_port; gateway=$found

# run NAME COMMAND…: in the background, its output in a file; leaves its process id in `started`.
run() {
  local name=$1
  shift
  "$@" >"$folder/$name.log" 2>&1 &
  started=$!
  pids+=("$started")
}

until_ok() {
  for _ in $(seq 150); do
    curl -fsS -o /dev/null "$@" 2>/dev/null && return
    sleep 0.2
  done
  echo "no answer: $*" >&2
  tail -n 5 "$folder"/*.log >&2
  return 1
}

for exporter in "$exporter_luna" "$exporter_sol"; do
  run "exporter-$exporter" prometheus-node-exporter --web.listen-address="127.0.0.1:$exporter"
done
exporter_sol_pid=$started
cat > "$folder/prometheus.yml" <<YAML
global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
scrape_configs:
  - job_name: node
    static_configs:
      - { targets: ["127.0.0.1:$exporter_luna"], labels: { tenant: luna, instance: "vps-luna:9100" } }
      - { targets: ["127.0.0.1:$exporter_sol"], labels: { tenant: sol, instance: "vps-sol:9100" } }
  - job_name: smartermcp
    static_configs:
      - targets: ["127.0.0.1:$gateway"]
rule_files: ["$repo/deploy/prometheus/alerts.yml"]
YAML
echo "basic_auth_users: { reader: '$hash' }" > "$folder/web.yml"
start_prometheus() {
  run prometheus prometheus --config.file="$folder/prometheus.yml" --web.config.file="$folder/web.yml" \
    --storage.tsdb.path="$folder/data" --web.listen-address="127.0.0.1:$prometheus"
  prometheus_pid=$started
  until_ok -u "reader:$password" "http://127.0.0.1:$prometheus/-/ready"
}
start_prometheus

admin=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
run gateway env SMARTERMCP_LISTEN="127.0.0.1:$gateway" SMARTERMCP_DATA_DIR="$folder/gateway" SMARTERMCP_ADMIN_TOKEN="$admin" \
  SMARTERMCP_BACKEND_ALLOW=127.0.0.1/32 RUST_LOG=warn "$binary" serve
url=http://127.0.0.1:$gateway
until_ok "$url/health/ready"

# rest TOKEN METHOD PATH [BODY] [curl's options…]: {"status":…,"json":…}
rest() {
  local token=$1 method=$2 path=$3 body=${4:-} status
  shift 3; [ $# -gt 0 ] && shift
  [ "$method" = GET ] || set -- "$@" --data "$body"
  status=$(curl -sS -o "$folder/answer" -w '%{http_code}' -X "$method" -H "authorization: Bearer $token" \
    -H 'content-type: application/json' "$@" "$url$path")
  jq -c --argjson status "$status" '{status: $status, json: .}' "$folder/answer"
}

# mcp TOKEN TOOL ARGUMENTS REVISION: the JSON-RPC answer
mcp() {
  local params
  params=$(jq -cn --arg name "$2" --argjson arguments "$3" '{name: $name, arguments: $arguments}')
  local headers=(-H "mcp-protocol-version: $4")
  if [ "$4" = 2026-07-28 ]; then
    params=$(jq -c '._meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}' <<<"$params")
    headers+=(-H 'mcp-method: tools/call' -H "mcp-name: $2")
  fi
  curl -sS -X POST -H "authorization: Bearer $1" -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' \
    "${headers[@]}" --data "$(jq -cn --argjson params "$params" '{jsonrpc: "2.0", id: 1, method: "tools/call", params: $params}')" "$url/mcp"
}

failures=0
# saw WHAT ANSWER CONDITION: one line of the report; long lists of points show their last two.
saw() {
  local verdict=ok shown
  jq -e "$3" <<<"$2" >/dev/null 2>&1 || { verdict='**FAILED**'; failures=$((failures + 1)); }
  shown=$(jq -c '(.. | select(type == "object" and has("points")) | .points) |= (if length > 2 then ["\(length - 2) more"] + .[-2:] else . end)' <<<"$2" 2>/dev/null || echo "$2")
  [ ${#shown} -gt 1400 ] && shown="${shown:0:1400}…"
  printf -- '- %s: %s\n  `%s`\n' "$verdict" "$1" "$shown"
}

# eventually CONDITION COMMAND…: the last answer, when it is as wanted or after a minute
eventually() {
  local condition=$1 answer
  shift
  for _ in $(seq 120); do
    answer=$("$@")
    jq -e "$condition" <<<"$answer" >/dev/null 2>&1 && break
    sleep 0.5
  done
  printf '%s' "$answer"
}

version=$(prometheus --version 2>&1 | sed -n 's/^prometheus, version \([^ ]*\).*/\1/p')
exporter=$(prometheus-node-exporter --version 2>&1 | sed -n 's/^node_exporter, version \([^ ]*\).*/\1/p')
printf '## Prometheus, %s\n\n' "$(date -u +%F)"
printf 'A real Prometheus %s (Debian) with basic authentication, which scrapes two node exporters %s each second; two tenants share it, each with a matcher.\n\n' "$version" "$exporter"

# More calls than an agent would make in a minute.
wide='{"general": {"per_minute": 6000, "per_hour": 60000, "burst": 1000}, "categories": {"infrastructure": {"per_minute": 6000}}}'
declare -A token
for tenant in luna sol; do
  made=$(rest "$admin" POST /api/v1/tenants "{\"name\": \"$tenant\", \"slug\": \"$tenant\"}")
  id=$(jq -r .json.id <<<"$made")
  token[$tenant]=$(rest "$admin" POST /auth/token "{\"name\": \"real\", \"scopes\": [\"read:services\"], \"tenant_id\": \"$id\", \"limits\": $wide}" | jq -r .json.api_token)
  connection=$(jq -cn --arg url "http://127.0.0.1:$prometheus" --arg password "$password" --arg tenant "$tenant" \
    '{url: $url, credential: {auth: {type: "basic", username: "reader", password: $password}, matcher: {tenant: $tenant}}}')
  rest "$admin" PUT /api/v1/connections/prometheus "$connection" -H "x-tenant-id: $tenant" >/dev/null
  tested=$(eventually '.status == 200' rest "$admin" POST /api/v1/connections/prometheus/test '{}' -H "x-tenant-id: $tenant")
  saw "$tenant: the connection is tested, and its one host found" "$tested" '.status == 200 and (.json.detail | contains("one host"))'
done
luna=${token[luna]} sol=${token[sol]}

status=$(eventually '.json.cpu_usage != null' rest "$luna" GET /api/v1/infra/status)
saw 'luna: REST shows the status' "$status" '.json | .vps_status == "up" and ([.cpu_usage, .memory_usage, .disk_usage] | all(. > 0 and . <= 100))'
for revision in 2025-11-25 2026-07-28; do
  saw "luna: tools/call ($revision) shows the status" "$(mcp "$luna" infra_status '{}' "$revision" | jq -c .result.structuredContent)" '.vps_status == "up" and .memory_usage > 0'
done

metrics=$(eventually '(.json.series // [] | map(.points | length) | min) >= 3' rest "$luna" GET /api/v1/infra/metrics)
saw 'luna: REST shows an hour of every metric, as far as there is one' "$metrics" \
  '.json | ([.series[].metric] | unique) == ["cpu", "disk", "memory", "network_in", "network_out"] and .unavailable == [] and ([.series[].labels.instance] | unique) == ["vps-luna:9100"] and ([.series[] | select(.unit == "percent") | .points[].value] | all(. >= 0 and . <= 100))'
for period in 6h 24h 7d; do
  week=$(rest "$luna" GET "/api/v1/infra/metrics?metric=memory&period=$period")
  saw "luna: REST shows memory over $period" "$week" '.status == 200 and (.json.series | length) == 1 and (.json.series[0].points | length) >= 1'
done
for revision in 2025-11-25 2026-07-28; do
  disks=$(mcp "$sol" infra_metrics '{"metric": "disk"}' "$revision" | jq -c .result.structuredContent)
  saw "sol: tools/call ($revision) shows its disks, and no tmpfs" "$disks" '(.series | length) >= 1 and ([.series[].labels.instance] | unique) == ["vps-sol:9100"] and ([.series[].labels.mountpoint] | any(startswith("/dev/shm") or startswith("/run")) | not)'
done

kill "$exporter_sol_pid"
down=$(eventually '.json.vps_status == "down" and .json.cpu_usage == null' rest "$sol" GET /api/v1/infra/status)
saw "sol: its host's exporter is stopped: down" "$down" '.json.vps_status == "down" and .json.cpu_usage == null'
saw "luna: its own is still up" "$(rest "$luna" GET /api/v1/infra/status)" '.json.vps_status == "up"'

elsewhere=$(jq -cn --arg url "http://127.0.0.1:$prometheus" --arg password "$password" \
  '{url: $url, credential: {auth: {type: "basic", username: "reader", password: $password}, matcher: {tenant: "luna\"} or up{tenant=\"sol"}}}')
rest "$admin" PUT /api/v1/connections/prometheus "$elsewhere" -H 'x-tenant-id: sol' >/dev/null
saw 'sol: a matcher that would like to leave its quotes matches nothing' \
  "$(rest "$admin" POST /api/v1/connections/prometheus/test '{}' -H 'x-tenant-id: sol')" '.json.code == "no_series"'
wrong=$(jq -c '.credential.auth.password = "wrong"' <<<"$elsewhere")
rest "$admin" PUT /api/v1/connections/prometheus "$wrong" -H 'x-tenant-id: sol' >/dev/null
saw 'sol: a wrong password is told as such' "$(rest "$sol" GET /api/v1/infra/status)" '.status == 502 and .json.code == "credential_refused"'

kill "$prometheus_pid" && wait "$prometheus_pid" 2>/dev/null || true
saw 'luna: Prometheus is stopped: a failure, and no empty success' "$(rest "$luna" GET /api/v1/infra/status)" '.status == 503 and .json.code == "backend_down"'
for _ in $(seq 30); do rest "$luna" GET /api/v1/infra/status >/dev/null; done
saw '/health says so' "$(curl -sS "$url/health/services")" '.. | select(type == "string") | test("degraded|down")'
start_prometheus
back=$(eventually '.status == 200 and .json.cpu_usage != null' rest "$luna" GET /api/v1/infra/status)
saw 'luna: Prometheus is back, and so is the status' "$back" '.status == 200 and .json.vps_status == "up"'

# The alert rules that come with the gateway, in the same Prometheus, which scrapes the gateway too.
ask() { curl -sS -u "reader:$password" -G "http://127.0.0.1:$prometheus$1" "${@:2}"; }
cd "$repo"
held=$({ promtool check rules deploy/prometheus/alerts.yml && promtool test rules deploy/prometheus/alerts.test.yml; } 2>&1 | jq -Rsc '[splits("\n") | select(test("\\S"))]')
saw "the rules of deploy/prometheus/alerts.yml and their tests hold under promtool" "$held" 'map(select(contains("SUCCESS"))) | length == 2'
rules=$(eventually 'length == 13 and all(.health == "ok")' eval "ask /api/v1/rules | jq -c '[.data.groups[].rules[] | {name, health, state}]'")
saw 'Prometheus evaluates each of them' "$rules" 'length == 13 and all(.health == "ok")'
saw 'on metrics that the gateway gives it' \
  "$(ask /api/v1/query --data-urlencode 'query=sum by (__name__) ({__name__=~"mcp_requests_total|smartermcp_.*_up", job="smartermcp"})' | jq -c '[.data.result[] | {(.metric.__name__): .value[1]}] | add')" \
  '(.mcp_requests_total | tonumber) > 10 and .smartermcp_database_up == "1" and .smartermcp_redis_up == "1"'

if [ "$failures" = 0 ]; then printf '\nEverything as it should be.\n'; else printf '\n%s failed.\n' "$failures"; exit 1; fi
