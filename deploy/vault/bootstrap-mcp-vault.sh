#!/usr/bin/env bash
# Sets up a fresh Vault for SmarterMCP: KV version 2 at smarteros/, the Transit key smarteros-secrets, the policies, and an AppRole
# for the gateway. It can be repeated: what is there stays as it is.
#   deploy/vault/bootstrap-mcp-vault.sh [--secret-id-file FILE] [--tenant SLUG]…
# Vault must be initialised and unsealed; VAULT_TOKEN is root's or an administrator's (see vault-api.sh). With --secret-id-file, a
# secret id for the gateway is written there, mode 0600, unless the file is there already: VAULT_SECRET_ID_FILE of the gateway.
# What the operator wants to keep in Vault comes by the environment, and is written only where it differs:
#   MCP_HOSTINGER_API_TOKEN                       smarteros/mcp/hostinger (api_token, endpoint)
#   MCP_SMARTERMCP_API_TOKEN, …_TENANT_ID, …_ENDPOINT   smarteros/mcp/smartermcp (api_token, tenant_id, endpoint)
#   SMARTERMCP_ADMIN_TOKEN                        smarteros/mcp/smartermcp-gateway (admin_token)
set -euo pipefail
folder=$(cd "$(dirname "$0")" && pwd)
. "$folder/vault-api.sh"

role=smartermcp-gateway
file=""
policies=()
while [ $# -gt 0 ]; do
  case $1 in
    --secret-id-file) [ -n "${2:-}" ] || fail "--secret-id-file needs the name of a file"; file=$2; shift 2 ;;
    --tenant) policies+=(--tenant "${2:-}"); shift 2 ;;
    *) fail "'$1' is unknown; there are --secret-id-file FILE and --tenant SLUG" ;;
  esac
done

# mounted LIST PATH: whether something is mounted there.
mounted() { must GET "$1"; printf '%s' "$reply" | grep -q "\"$2/\":"; }

if mounted sys/mounts smarteros; then
  api GET smarteros/config
  [ "$status" = 200 ] || fail "smarteros/ is mounted and is no KV engine of version 2: move it away, or upgrade it (vault kv enable-versioning)"
  echo "kv       smarteros/ is there"
else
  must POST sys/mounts/smarteros '{"type": "kv", "description": "SmarterOS", "options": {"version": "2"}}'
  # Vault makes a KV of version 2 ready in the background, and refuses for a moment.
  for _ in $(seq 50); do api GET smarteros/config; [ "$status" != 200 ] || break; sleep 0.2; done
  [ "$status" = 200 ] || fail "smarteros/ was mounted and does not get ready (HTTP $status)"
  echo "kv       smarteros/ made, version 2"
fi

if mounted sys/mounts transit; then
  echo "transit  transit/ is there"
else
  must POST sys/mounts/transit '{"type": "transit"}'
  echo "transit  transit/ made"
fi
api GET transit/keys/smarteros-secrets
case $status in
  200) echo "key      smarteros-secrets is there" ;;
  404) must POST transit/keys/smarteros-secrets '{"type": "aes256-gcm96"}'; echo "key      smarteros-secrets made" ;;
  *) fail "transit/keys/smarteros-secrets: HTTP $status" ;;
esac

"$folder/apply-vault-policies.sh" ${policies[@]+"${policies[@]}"}

if mounted sys/auth approle; then
  echo "auth     approle/ is there"
else
  must POST sys/auth/approle '{"type": "approle"}'
  echo "auth     approle/ made"
fi
# Tokens of an hour that are renewed as long as the gateway runs, and end soon after it.
must POST "auth/approle/role/$role" '{"token_policies": ["smartermcp-gateway"], "token_period": "1h", "token_type": "service"}'
must GET "auth/approle/role/$role/role-id"
role_id=$(field role_id)
[ -n "$role_id" ] || fail "Vault answered no role_id"

# put PATH JSON FIELD VALUE: writes a secret unless that field holds that value already.
put() {
  api GET "smarteros/data/$1"
  if [ "$status" = 200 ] && [ "$(field "$3")" = "$4" ]; then
    echo "secret   smarteros/$1 is there"
  else
    must POST "smarteros/data/$1" "{\"data\": $2}"
    echo "secret   smarteros/$1 written"
  fi
}
if [ -n "${MCP_HOSTINGER_API_TOKEN:-}" ]; then
  put mcp/hostinger "{\"api_token\": $(json "$MCP_HOSTINGER_API_TOKEN"), \"endpoint\": \"https://api.hostinger.com\"}" \
    api_token "$MCP_HOSTINGER_API_TOKEN"
fi
if [ -n "${MCP_SMARTERMCP_API_TOKEN:-}" ]; then
  put mcp/smartermcp "{\"api_token\": $(json "$MCP_SMARTERMCP_API_TOKEN"), \"tenant_id\": $(json "${MCP_SMARTERMCP_TENANT_ID:-}"), \"endpoint\": $(json "${MCP_SMARTERMCP_ENDPOINT:-https://mcp.smarterbot.cl}")}" \
    api_token "$MCP_SMARTERMCP_API_TOKEN"
fi
if [ -n "${SMARTERMCP_ADMIN_TOKEN:-}" ]; then
  put mcp/smartermcp-gateway "{\"admin_token\": $(json "$SMARTERMCP_ADMIN_TOKEN")}" admin_token "$SMARTERMCP_ADMIN_TOKEN"
fi

if [ -z "$file" ]; then
  echo "No secret id was made: say --secret-id-file FILE"
elif [ -e "$file" ]; then
  echo "secret   $file is there"
else
  must POST "auth/approle/role/$role/secret-id" '{}'
  secret_id=$(field secret_id)
  [ -n "$secret_id" ] || fail "Vault answered no secret_id"
  (umask 077; printf '%s\n' "$secret_id" > "$file")
  echo "secret   $file written"
fi
echo "Settings of the gateway:"
echo "VAULT_ADDR=$VAULT_ADDR"
echo "VAULT_ROLE_ID=$role_id"
echo "VAULT_SECRET_ID_FILE=${file:-…}"
