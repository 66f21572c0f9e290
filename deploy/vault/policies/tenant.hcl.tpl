# The people of the tenant SLUG: their own credentials, and nobody else's. `apply-vault-policies.sh --tenant SLUG` fills it in.
# Only for a tenant whose instances are all its own. A credential for a shared instance holds that instance's key and says which part
# of it (company, account, collection) is the tenant's: who writes it leaves his part, who reads it holds the key of all. For such a
# tenant do not apply this, or add a rule with ["deny"] for the paths of its shared backends, below data/.

path "smarteros/data/tenants/SLUG/*" {
  capabilities = ["create", "read", "update", "patch"]
}

# Where its server is, which the platform writes.
path "smarteros/data/tenants/SLUG/vps_id" {
  capabilities = ["read"]
}

path "smarteros/metadata/tenants/SLUG/*" {
  capabilities = ["read", "list"]
}
