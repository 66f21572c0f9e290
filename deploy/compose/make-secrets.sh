#!/bin/sh
# Writes the secrets of the profile `full` into secrets/ beside this script, of random letters. What is there stays: PostgreSQL knows
# its passwords from its first start on, and the master key opens what is stored. Back secrets/ up, apart from the database.
# It wants .env to be filled in: without the domain, the gateway and Traefik fail where nobody looks.
set -eu
cd "$(dirname "$0")"
umask 077

# said NAME EXAMPLE: whether .env, or the environment over it as for Compose, says NAME, and not still the example.
said() {
  value=$(printenv "$1" || sed -n "s/^$1=//p" .env 2>/dev/null | tail -n 1)
  case $value in
    '' | "$2") echo "make-secrets.sh: say $1 in .env first (cp .env.example .env)" >&2; exit 1 ;;
  esac
}
said SMARTERMCP_DOMAIN mcp.example.cl
said ACME_EMAIL ops@example.cl

# Nobody else enters the folder; within, files can be read, because Compose hands them to users of containers as they are.
mkdir -p secrets
chmod 700 secrets

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
# keep FILE: standard input becomes secrets/FILE, unless that is there.
keep() {
  if [ -s "secrets/$1" ]; then
    cat >/dev/null
    echo "secrets/$1 is there"
    return
  fi
  rm -f "secrets/$1"
  cat >"secrets/$1.new"
  chmod 444 "secrets/$1.new"
  mv "secrets/$1.new" "secrets/$1"
  echo "secrets/$1 written"
}

random | keep postgres_password
random | keep database_password
random | keep grafana_password
keep redis.conf <<CONF
# The Redis of the gateway's limits.
requirepass $(random)
save ""
appendonly no
maxmemory 192mb
maxmemory-policy noeviction
CONF
keep settings.toml <<TOML
# The gateway's secret settings. With them, all credentials of the database can be read.
admin_token = "$(random)"
master_key = "$(random)"
database_url = "postgres://smartermcp:$(cat secrets/database_password)@postgres:5432/smartermcp"
redis_url = "redis://:$(sed -n 's/^requirepass //p' secrets/redis.conf)@redis:6379/0"
TOML
