# The gateway itself, by its AppRole: every tenant's credentials, and the key that wraps the database's.
# It lists nothing, and reads no other secret of the platform.

path "smarteros/data/tenants/+/+" {
  capabilities = ["create", "read", "update"]
}

# The number of the newest version, for check-and-set.
path "smarteros/metadata/tenants/+/+" {
  capabilities = ["read"]
}

# Of connections that were removed, or moved back into the database.
path "smarteros/destroy/tenants/+/+" {
  capabilities = ["update"]
}

# What SMARTERMCP_ADMIN_TOKEN=vault:mcp/smartermcp-gateway#admin_token names.
path "smarteros/data/mcp/smartermcp-gateway" {
  capabilities = ["read"]
}

path "transit/datakey/plaintext/smarteros-secrets" {
  capabilities = ["update"]
}

path "transit/decrypt/smarteros-secrets" {
  capabilities = ["update"]
}

path "transit/rewrap/smarteros-secrets" {
  capabilities = ["update"]
}

# Its versions, for `smartermcp doctor`; never the key.
path "transit/keys/smarteros-secrets" {
  capabilities = ["read"]
}
