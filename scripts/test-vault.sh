#!/usr/bin/env bash
# Runs the tests of secrets in Vault against the real one that VAULT_ADDR and VAULT_TOKEN (root's) name. It must be a Vault to throw
# away (`vault server -dev`): the tests mount smarteros/ and transit/, write policies and secrets, and rotate keys.
# Tests of what a real one cannot be told to do (seal itself, fall silent, let an hour pass) say that they are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "make test-vault: $1" >&2; exit 1; }
[ -n "${VAULT_ADDR:-}" ] && [ -n "${VAULT_TOKEN:-}" ] || fail "set VAULT_ADDR and VAULT_TOKEN, e.g. those that \`vault server -dev\` prints"
health=$(curl --silent --max-time 5 "${VAULT_ADDR%/}/v1/sys/health") || fail "$VAULT_ADDR does not answer"
echo "against a real Vault: $(printf '%s' "$health" | sed -n 's/.*"version":"\([^"]*\)".*/\1/p') at $VAULT_ADDR"
# One after the other: they share its mounts and its Transit key.
TEST_VAULT_ADDR=${VAULT_ADDR%/} TEST_VAULT_TOKEN=$VAULT_TOKEN env -u VAULT_ADDR -u VAULT_TOKEN \
  cargo test --locked --test it -- --nocapture --test-threads=1 vault::
