# The people of the tenant SLUG: their own credentials, and nobody else's. `apply-vault-policies.sh --tenant SLUG` fills it in.

path "smarteros/data/tenants/SLUG/*" {
  capabilities = ["create", "read", "update", "patch"]
}

path "smarteros/metadata/tenants/SLUG/*" {
  capabilities = ["read", "list"]
}
