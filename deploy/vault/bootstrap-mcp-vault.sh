#!/usr/bin/env bash
# Sets up a fresh Vault for SmarterMCP: KV version 2 at smarteros/, the Transit key smarteros-secrets, the policies, and an AppRole
# for the gateway. It can be repeated: what is there stays as it is.
#   deploy/vault/bootstrap-mcp-vault.sh [--secret-id-file FILE] [--tenant SLUG]…
# Vault must be initialised and unsealed; VAULT_TOKEN is root's or an administrator's (see vault-api.sh). With --secret-id-file, a
# secret id for the gateway is written there, mode 0600, unless the file holds one already: VAULT_SECRET_ID_FILE of the gateway.
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

# put PATH FIELD VALUE…: writes a secret unless every field holds its value already. An empty value is what is there.
put() {
  local path=$1 fields="" differs="" there value
  shift
  api GET "smarteros/data/$path"
  [ "$status" = 200 ] || { differs=yes; reply=""; }
  while [ $# -gt 0 ]; do
    there=$(field "$1")
    value=${2:-$there}
    [ "$there" = "$value" ] || differs=yes
    fields+="${fields:+, }\"$1\": $(json "$value")"
    shift 2
  done
  if [ -z "$differs" ]; then
    echo "secret   smarteros/$path is there"
  else
    must POST "smarteros/data/$path" "{\"data\": {$fields}}"
    echo "secret   smarteros/$path written"
  fi
}
if [ -n "${MCP_HOSTINGER_API_TOKEN:-}" ]; then
  put mcp/hostinger api_token "$MCP_HOSTINGER_API_TOKEN" endpoint https://api.hostinger.com
fi
if [ -n "${MCP_SMARTERMCP_API_TOKEN:-}" ]; then
  endpoint=${MCP_SMARTERMCP_ENDPOINT:-}
  if [ -z "$endpoint" ]; then
    api GET smarteros/data/mcp/smartermcp
    [ "$status" = 200 ] || endpoint=https://mcp.smarterbot.cl
  fi
  put mcp/smartermcp api_token "$MCP_SMARTERMCP_API_TOKEN" tenant_id "${MCP_SMARTERMCP_TENANT_ID:-}" endpoint "$endpoint"
fi
if [ -n "${SMARTERMCP_ADMIN_TOKEN:-}" ]; then
  put mcp/smartermcp-gateway admin_token "$SMARTERMCP_ADMIN_TOKEN"
fi

if [ -z "$file" ]; then
  echo "No secret id was made: say --secret-id-file FILE"
elif [ -s "$file" ]; then
  api POST "auth/approle/role/$role/secret-id/lookup" "{\"secret_id\": $(json "$(tr -d '[:space:]' < "$file")")}"
  case $status in
    200) echo "secret   $file is there" ;;
    204 | 400 | 404) fail "$file holds no secret id that this Vault knows: move the file away and run this again" ;;
    *) fail "auth/approle/role/$role/secret-id/lookup: HTTP $status" ;;
  esac
else
  must POST "auth/approle/role/$role/secret-id" '{}'
  secret_id=$(field secret_id)
  [ -n "$secret_id" ] || fail "Vault answered no secret_id"
  # An empty one may be there, of any mode.
  rm -f "$file"
  (umask 077; printf '%s\n' "$secret_id" > "$file")
  echo "secret   $file written"
fi
echo "Settings of the gateway:"
echo "VAULT_ADDR=$VAULT_ADDR"
echo "VAULT_ROLE_ID=$role_id"
echo "VAULT_SECRET_ID_FILE=${file:-…}"
