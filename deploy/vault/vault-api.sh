# Requests to Vault's HTTP API by curl, for the scripts beside it, which source this. No secret is an argument of a process.
# shellcheck shell=bash
#   VAULT_ADDR, VAULT_TOKEN, and where they are needed VAULT_NAMESPACE and VAULT_CACERT, as for the command `vault`.

fail() { echo "$(basename "$0"): $1" >&2; exit 1; }

[ -n "${VAULT_ADDR:-}" ] || fail "VAULT_ADDR is not set: the URL of the Vault, e.g. https://vault.example.cl:8200"
[ -n "${VAULT_TOKEN:-}" ] || fail "VAULT_TOKEN is not set: a token that may make mounts, policies and roles"
command -v curl >/dev/null || fail "curl is missing"

# api METHOD PATH [BODY]: sends a request; $status and $reply are what came back.
api() {
  local method=$1 path=$2 body=${3-} answer
  local arguments=(--silent --show-error --max-time 20 --request "$method" --write-out '\n%{http_code}')
  [ -z "${VAULT_CACERT:-}" ] || arguments+=(--cacert "$VAULT_CACERT")
  [ -z "$body" ] || arguments+=(--data-binary @-)
  answer=$(printf '%s' "$body" | curl "${arguments[@]}" --config <(
    printf 'header = "X-Vault-Token: %s"\nheader = "X-Vault-Request: true"\n' "$VAULT_TOKEN"
    [ -z "${VAULT_NAMESPACE:-}" ] || printf 'header = "X-Vault-Namespace: %s"\n' "$VAULT_NAMESPACE"
  ) "${VAULT_ADDR%/}/v1/$path") || fail "$VAULT_ADDR does not answer"
  status=${answer##*$'\n'}
  reply=${answer%$'\n'*}
}

# must METHOD PATH [BODY]: the same, where anything but success ends the script.
must() {
  api "$@"
  case $status in
    2*) ;;
    503) fail "Vault is sealed or away (HTTP 503): unseal it first" ;;
    403) fail "VAULT_TOKEN may not $1 $2 (HTTP 403)" ;;
    *) fail "$1 $2: HTTP $status $(printf '%s' "$reply" | grep -o '"errors":\[[^]]*\]' | cut -c1-300)" ;;
  esac
}

# A text as JSON.
json() {
  local text=$1
  text=${text//\\/\\\\}; text=${text//\"/\\\"}; text=${text//$'\t'/\\t}; text=${text//$'\r'/\\r}; text=${text//$'\n'/\\n}
  printf '"%s"' "$text"
}

# The text of this name in $reply.
field() { printf '%s' "$reply" | tr -d '\n' | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }
