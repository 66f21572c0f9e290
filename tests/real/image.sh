#!/usr/bin/env bash
# Builds the image from the Dockerfile with a real dockerd that is started for it, runs it as deploy/compose does, and looks at what
# runs. Prints a Markdown report. Needs root, Debian's packages and crates.io; no registry of images is asked.
#
# The base images are made here: the one that runs is Debian's packages (as debian:…-slim is), the one that builds has gcc, this
# machine's own Rust and the crates of Cargo.lock beside them, and builds without a network. What was made is kept in
# target/real-image, Docker's layers among it, so that a second run builds what has changed.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top"
say() { printf 'image.sh: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
ok() { printf -- '- ok: %s\n' "$*"; }

[ "$(id -u)" = 0 ] || fail "only root can start a dockerd"
missing=()
command -v dockerd >/dev/null || missing+=(docker.io)
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
command -v docker >/dev/null || missing+=(docker.io)
if [ "${#missing[@]}" -gt 0 ]; then
  say "installing ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >&2
fi
docker compose version >/dev/null 2>&1 || fail "Docker Compose 2 is missing, as a plugin of docker (Debian 13 has it; the docker-compose of Debian 12 is version 1)"
# shellcheck disable=SC1091
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
chef=$(sed -n 's/.*cargo install cargo-chef --version \([0-9.]*\).*/\1/p' Dockerfile)
image=smartercl/mcp-server:$version
kept=$top/target/real-image
mkdir -p "$kept"

folder=$(mktemp -d /tmp/smartermcp-image.XXXXXX)
export DOCKER_HOST=unix://$folder/docker.sock DOCKER_CONFIG=$folder/config DOCKER_BUILDKIT=0
mkdir -p "$DOCKER_CONFIG"
project=smartermcp-real-$$
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
compose() {
  SMARTERMCP_IMAGE=$image SMARTERMCP_PORT=$port docker compose --env-file /dev/null --project-name "$project" \
    --file deploy/compose/compose.yaml --profile small "$@" 2>>"$folder/compose.log"
}

# shellcheck disable=SC2329
clean_up() {
  set +e
  if [ -n "${daemon:-}" ]; then
    compose down --volumes >/dev/null
    docker ps -aq | xargs -r docker rm -f >/dev/null 2>&1
    docker network prune -f >/dev/null 2>&1
    kill "$daemon" 2>/dev/null
    wait "$daemon" 2>/dev/null
  fi
  # What the daemon has mounted, the innermost first.
  awk -v one="$folder/" -v two="$kept/docker/" 'index($5, one) == 1 || index($5, two) == 1 { print $5 }' /proc/self/mountinfo | sort -r | xargs -r umount
  rm -rf "$folder"
}
trap clean_up EXIT

dockerd -H "$DOCKER_HOST" --data-root "$kept/docker" --exec-root "$folder/exec" --pidfile "$folder/pid" \
  --bridge none --iptables=false --ip6tables=false --ip-masq=false >"$folder/dockerd.log" 2>&1 &
daemon=$!
for _ in $(seq 100); do
  docker version >/dev/null 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || { cat "$folder/dockerd.log" >&2; exit 1; }
  sleep 0.1
done
engine=$(docker version --format '{{.Server.Version}}, API {{.Server.APIVersion}}')

# debian FILE PACKAGES: Debian's packages without manuals, as the slim images have them.
debian() {
  local sources=(/etc/apt/sources.list.d/debian.sources)
  [ -e "${sources[0]}" ] || sources=(/etc/apt/sources.list)
  say "making $1 of Debian $suite"
  # By its name it would make a folder.
  mmdebstrap --quiet --format=tar --variant=minbase --include="$2" --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$kept/$1.new" "${sources[@]}" >&2
  mv "$kept/$1.new" "$kept/$1"
}
[ -s "$kept/runs.tar" ] || debian runs.tar base-files
[ -s "$kept/builds.tar" ] || debian builds.tar gcc,libc6-dev,ca-certificates
[ -x "$kept/chef-$chef/bin/cargo-chef" ] || cargo install cargo-chef --version "$chef" --locked --quiet --root "$kept/chef-$chef" >&2
cargo fetch --locked --quiet
runs=imported/debian:$(sha256sum "$kept/runs.tar" | cut -c 1-12)
builds=imported/rust:$({ rustc --version && cat Cargo.lock "$kept/builds.tar"; } | sha256sum | cut -c 1-12)
docker image inspect "$runs" >/dev/null 2>&1 || docker import "$kept/runs.tar" "$runs" >/dev/null
if ! docker image inspect "$builds" >/dev/null 2>&1; then
  say "importing the image that builds"
  cp "$kept/builds.tar" "$folder/builds.tar"
  tar -rf "$folder/builds.tar" --transform 's,^,usr/local/rust/,' -C "$(rustc --print sysroot)" bin lib
  tar -rf "$folder/builds.tar" --transform 's,^,usr/local/cargo/,' -C "$kept/chef-$chef" bin
  tar -rf "$folder/builds.tar" --transform 's,^,usr/local/cargo/registry/,' -C "${CARGO_HOME:-$HOME/.cargo}/registry" index cache
  docker import -c 'ENV PATH=/usr/local/rust/bin:/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    -c 'ENV CARGO_HOME=/usr/local/cargo' -c 'ENV CARGO_NET_OFFLINE=true' "$folder/builds.tar" "$builds" >/dev/null
  rm "$folder/builds.tar"
fi

say "building $image"
began=$SECONDS
docker build --network none --build-arg BUILD_IMAGE="$builds" --build-arg RUNTIME_IMAGE="$runs" \
  --build-arg VERSION="$version" --build-arg REVISION="$(git rev-parse HEAD)" --tag "$image" . >"$kept/build.log" 2>&1 ||
  { tail -40 "$kept/build.log" >&2; fail "the image cannot be built; all of it: $kept/build.log"; }
took=$((SECONDS - began))
kept_steps=$(grep -c 'Using cache' "$kept/build.log" || true)
steps="$(grep -c '^Step ' "$kept/build.log") steps, $kept_steps of them kept from an earlier run"
# A run that compiled nothing tells of the one that did.
if grep -q 'Compiling smartermcp' "$kept/build.log"; then echo "$((took / 60)) min $((took % 60)) s ($steps)" >"$kept/built"; fi

base=http://127.0.0.1:$port
get() { curl --silent --show-error --max-time 10 "$@"; }
# until_healthy CONTAINER: waits for Docker's own health check.
until_healthy() {
  local health
  for _ in $(seq 300); do
    health=$(docker inspect --format '{{.State.Health.Status}}' "$1")
    [ "$health" != healthy ] || return 0
    sleep 0.1
  done
  docker logs "$1" >&2
  fail "$1 is $health after 30 s"
}
of_json() { python3 -c "import json, sys; value = json.load(sys.stdin); print($1)"; }

cat <<REPORT
## The image, $(date +%F)

A real dockerd ($engine) and $(compose version | head -1), on $(nproc) cores that others used too. The base images were imported: Debian $suite's
packages (\`mmdebstrap\`), and beside gcc and $(rustc --version | cut -d ' ' -f 1-2) the crates of Cargo.lock; the build had no network. Commit $(git rev-parse --short HEAD)$([ -z "$(git status --porcelain)" ] || echo ', with changes').

REPORT
size() { docker image inspect --format '{{.Size}}' "$1" | awk '{ printf "%.1f MB", $1 / 1e6 }'; }
ok "built from source by the Dockerfile's stages: $(cat "$kept/built"); this run: $steps"
ok "the image has $(size "$image"); without its base ($(size "$runs")) that is the binary and the authorities' certificates"
ok "its user, health check and labels: $(docker image inspect --format '{{.Config.User}}, {{.Config.Healthcheck.Test}}, {{json .Config.Labels}}' "$image")"
env=$(docker image inspect --format '{{json .Config.Env}}' "$image")
! grep -qiE 'token|password|secret|key' <<<"$env" || fail "a secret in $env"
ok "its environment has no secret: $env"

began=$(date +%s%N)
compose up --detach >/dev/null || { cat "$folder/compose.log" >&2; fail "compose does not start it"; }
container=$(compose ps --quiet small)
until_healthy "$container"
ok "\`--profile small up --detach\`, and Docker's health check says healthy after $((($(date +%s%N) - began) / 1000000)) ms (it first looks after 10 s)"
health=$(get "$base/health")
[ "$(of_json 'value["status"]' <<<"$health")" = healthy ] || fail "$health"
ok "GET /health: \`$(cut -c 1-90 <<<"$health")…\`"

# Where clients sign in is where the port is published.
told=$(get "$base/.well-known/oauth-protected-resource/mcp" | of_json 'value["resource"]')
[ "$told" = "$base/mcp" ] || fail "clients are told $told, and come to $base"
[ "$(get "$base/install.sh" | sed -n "s/^ *releases=.*:-'\(.*\)'}$/\1/p")" = "$base/releases" ] || fail "/install.sh names another gateway"
ok "clients that sign in, and /install.sh, are told the published port: \`$told\`"

operator=$(docker logs "$container" 2>/dev/null | grep '^smcp_')
scopes='["write:services","write:workflows","read:analytics","write:crm","read:support","write:bots"]'
token=$(get "$base/auth/token" -H "Authorization: Bearer $operator" -d "{\"name\":\"real\",\"scopes\":$scopes}" | of_json 'value["api_token"]')
# The owner's tools, as the README lists them.
owners=$(grep -vE '`/(api/v1|auth)' README.md | sed -nE 's/^\| `([a-z0-9_]+)` \| (GET|POST) .*/\1/p' | sort)
listed=$(get "$base/mcp" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
  -H 'MCP-Protocol-Version: 2025-11-25' -d '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}' |
  of_json '"\n".join(sorted(tool["name"] for tool in value["result"]["tools"]))')
count=$(comm -12 <(echo "$owners") <(echo "$listed") | wc -l)
[ "$count" = 35 ] || fail "$count of the 35 tools are listed: $listed"
ok "MCP's tools/list, with a token of all business scopes: the owner's $count tools, $(wc -l <<<"$listed") in all"

pid=$(docker inspect --format '{{.State.Pid}}' "$container")
field() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/$pid/status"; }
[ "$(field Uid) $(field CapEff)$(field CapPrm)$(field CapBnd) $(field NoNewPrivs)$(field Seccomp)" = "10001 $(printf '%048d' 0) 12" ] ||
  fail "$(cat "/proc/$pid/status")"
ok "the process is no root: Uid $(field Uid), Gid $(field Gid), CapEff $(field CapEff), CapBnd $(field CapBnd), NoNewPrivs $(field NoNewPrivs), Seccomp $(field Seccomp)"
for file in /usr/local/bin/new /etc/passwd /new; do
  # Even for a root within it.
  said=$(docker exec --user 0 "$container" sh -c "echo x >>$file" 2>&1) && fail "$file was written"
  grep -q 'Read-only file system' <<<"$said" || fail "$said"
done
ok "its root file system is read-only, for root too: \`$said\`"
doctor=$(docker exec "$container" smartermcp doctor 2>&1) || fail "$doctor"
ok "\`smartermcp doctor\` within it: $(grep -c '^ok' <<<"$doctor") checks passed, $(grep -c '^warn' <<<"$doctor" || true) warned, none failed"
ok "what it wrote is in its volume: $(docker exec "$container" sh -c 'stat -c "%A %u %n" /var/lib/smartermcp /var/lib/smartermcp/*' | paste -sd ';' | sed 's/;/; /g')"
ok "bounds: $(docker inspect --format '{{.HostConfig.Memory}} bytes of memory, {{.HostConfig.NanoCpus}} nano-CPUs, {{.HostConfig.PidsLimit}} processes, {{.HostConfig.CapDrop}} dropped, {{.HostConfig.SecurityOpt}}, restart {{.HostConfig.RestartPolicy.Name}}' "$container"); it takes $(field VmRSS | awk '{ printf "%.0f MB", $1 / 1024 }')"

began=$(date +%s%N)
docker stop "$container" >/dev/null
code=$(docker inspect --format '{{.State.ExitCode}}' "$container")
[ "$code" = 0 ] || fail "stopped with $code"
ok "\`docker stop\` ends it in $((($(date +%s%N) - began) / 1000000)) ms, exit code $code"
compose down >/dev/null
compose up --detach >/dev/null
until_healthy "$(compose ps --quiet small)"
[ "$(get -o /dev/null -w '%{http_code}' "$base/api/v1/whoami" -H "Authorization: Bearer $token")" = 200 ] || fail "the token is gone"
ok "a new container on the same volume: the token is known"
compose down --volumes >/dev/null

# As in the compose file, by hand: from the command to the first answer.
network=$project-run
docker network create "$network" >/dev/null
times=()
for n in 1 2 3 4 5; do
  began=$(date +%s%N)
  id=$(docker run --detach --read-only --cap-drop ALL --security-opt no-new-privileges:true --tmpfs /tmp:size=16m,mode=1777 --memory 512m \
    --cpus 2 --pids-limit 256 --network "$network" --publish "127.0.0.1:$port:8080" --env "SMARTERMCP_PUBLIC_URL=$base" "$image")
  until [ "$(get -o /dev/null -w '%{http_code}' "$base/health/ready" 2>/dev/null)" = 200 ]; do
    [ $(($(date +%s%N) - began)) -lt 30000000000 ] || fail "no answer after 30 s: $(docker logs "$id" 2>&1)"
    sleep 0.005
  done
  times+=("$((($(date +%s%N) - began) / 1000000))")
  [ "$n" != 5 ] || own=$(docker logs "$id" 2>&1 | grep -c '"message":"serving"')
  docker rm --force --volumes "$id" >/dev/null
done
[ "$own" = 1 ] || fail "it did not say that it serves"
docker network rm "$network" >/dev/null
ok "from \`docker run\` to the first answer, five times, the database made anew each time: ${times[*]} ms"
