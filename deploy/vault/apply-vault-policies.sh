#!/usr/bin/env bash
# Writes the policies of this folder into Vault, over those that are there. It can be repeated.
#   deploy/vault/apply-vault-policies.sh
#   deploy/vault/apply-vault-policies.sh --tenant panaderia-luna --tenant taller-sol   # also tenant-<slug> for each
# The paths in them are those of the default mounts, smarteros/ and transit/. See vault-api.sh for the settings.
set -euo pipefail
folder=$(cd "$(dirname "$0")" && pwd)
. "$folder/vault-api.sh"

tenants=()
while [ $# -gt 0 ]; do
  case $1 in
    --tenant)
      [[ ${2:-} =~ ^[a-z][a-z0-9-]{0,61}[a-z0-9]$ ]] || fail "--tenant: '${2:-}' is no slug, e.g. panaderia-luna"
      tenants+=("$2"); shift 2 ;;
    *) fail "'$1' is unknown; there is --tenant SLUG" ;;
  esac
done

apply() {
  must PUT "sys/policies/acl/$1" "{\"policy\": $(json "$2")}"
  echo "policy $1"
}

for file in "$folder"/policies/*.hcl; do
  apply "$(basename "$file" .hcl)" "$(cat "$file")"
done
for slug in ${tenants[@]+"${tenants[@]}"}; do
  apply "tenant-$slug" "$(sed "s/SLUG/$slug/g" "$folder/policies/tenant.hcl.tpl")"
done
