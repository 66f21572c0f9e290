#!/usr/bin/env bash
# Installs what the tests need and this machine lacks: Debian packages where apt is, npm and PyPI packages into tests/clients and
# sdk/typescript.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "make test: $1" >&2; exit 1; }
command -v cargo >/dev/null || fail "Rust is missing. Install it by rustup (the version of rust-version in Cargo.toml, or newer)."
rustfmt --version >/dev/null 2>&1 || rustup component add rustfmt || fail "rustfmt is missing: rustup component add rustfmt"
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy || fail "clippy is missing: rustup component add clippy"

# Debian's packages, by the command that each brings.
missing=()
command -v cc >/dev/null || missing+=(build-essential)
command -v node >/dev/null && command -v npm >/dev/null || missing+=(nodejs npm)
command -v python3 >/dev/null || missing+=(python3)
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v psql >/dev/null && command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
[ -x /usr/sbin/nginx ] || command -v nginx >/dev/null || missing+=(nginx-light)
# A browser for the pages of sign-in, and letters for it: it recommends them, and brings none.
{ command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null || missing+=(chromium fonts-dejavu-core)
if [ "${#missing[@]}" -gt 0 ]; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
  else
    fail "these are missing: ${missing[*]} (their names in Debian). Install them and run it again."
  fi
fi

cd tests/clients
stamp() { cat package-lock.json requirements.txt | cksum; }
if [ "$(cat node_modules/.stamp 2>/dev/null)" != "$(stamp)" ] || [ ! -x .venv/bin/python ]; then
  echo "installing the conformance suite and the real clients (npm, PyPI)"
  npm ci --no-audit --no-fund --loglevel=error
  [ -x .venv/bin/python ] || python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
  # What the Python SDK needs, kept as wheels: its test installs it into an empty environment.
  .venv/bin/pip download --quiet --disable-pip-version-check --dest .wheels -c requirements.txt anyio httpx pydantic typing-extensions
  stamp > node_modules/.stamp
fi

cd ../../sdk/typescript
if [ "$(cat node_modules/.stamp 2>/dev/null)" != "$(cksum < package-lock.json)" ]; then
  echo "installing the compiler of the TypeScript SDK (npm)"
  npm ci --no-audit --no-fund --loglevel=error
  cksum < package-lock.json > node_modules/.stamp
fi
