#!/usr/bin/env bash
# Runs a command with a PostgreSQL and a Redis of its own, on free ports of this machine, and ends both after it:
#   scripts/with-servers.sh cargo nextest run
# The command finds them in TEST_DATABASE_URL (a superuser, to make databases), TEST_ROLE_URL (the role that the gateway is given;
# the database's name is left out) and TEST_REDIS_URL. They are fast and forget everything; with DURABLE=1, PostgreSQL waits for
# the disk, as in production.
set -euo pipefail

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
tool() { command -v "$1" 2>/dev/null || ls -d /usr/lib/postgresql/*/bin/"$1" 2>/dev/null | sort -V | tail -1; }

folder=$(mktemp -d "${TMPDIR:-/tmp}/smartermcp-servers.XXXXXX")
initdb=$(tool initdb); pg_ctl=$(tool pg_ctl); psql=$(tool psql)
# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then
  chmod 755 "$folder"; mkdir "$folder/pg"; chown nobody "$folder/pg"
  as=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups env "HOME=$folder/pg")
else
  mkdir "$folder/pg"
fi
redis_pid=""
finish() {
  "${as[@]}" "$pg_ctl" -D "$folder/pg/data" -m immediate -s stop >/dev/null 2>&1 || true
  [ -z "$redis_pid" ] || kill "$redis_pid" 2>/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM

pg_port=$(free_port)
careless="-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
[ -z "${DURABLE:-}" ] || careless=""
(cd "$folder/pg" && "${as[@]}" "$initdb" -D "$folder/pg/data" -U postgres --auth=trust --no-sync --no-instructions -E UTF8 --locale=C >/dev/null)
(cd "$folder/pg" && "${as[@]}" "$pg_ctl" -D "$folder/pg/data" -w -s -l "$folder/pg/log" \
  -o "-c listen_addresses=127.0.0.1 -c port=$pg_port -c unix_socket_directories=$folder/pg -c max_connections=300 $careless" start)
"$psql" -q "postgres://postgres@127.0.0.1:$pg_port/postgres" -c "create role smartermcp login password 'a-password-of-the-tests'"

redis_port=$(free_port)
redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --dir "$folder" >"$folder/redis.log" 2>&1 &
redis_pid=$!
for _ in $(seq 100); do redis-cli -p "$redis_port" ping >/dev/null 2>&1 && break; sleep 0.05; done

export TEST_DATABASE_URL="postgres://postgres@127.0.0.1:$pg_port"
export TEST_ROLE_URL="postgres://smartermcp:a-password-of-the-tests@127.0.0.1:$pg_port"
export TEST_REDIS_URL="redis://127.0.0.1:$redis_port"
"$@"
