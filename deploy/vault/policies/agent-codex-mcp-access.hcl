# The executor: services, workflows and infrastructure. Tier 0 (Hostinger) is his, and the keys for deployments, which he rotates.

path "smarteros/data/mcp/smartermcp" {
  capabilities = ["read"]
}

# A token of the gateway that says agent=codex sees his tools alone.
path "smarteros/data/mcp/smartermcp-codex" {
  capabilities = ["read"]
}

path "smarteros/data/mcp/hostinger" {
  capabilities = ["read"]
}

path "smarteros/data/mcp/github" {
  capabilities = ["read"]
}

path "smarteros/data/mcp/docker" {
  capabilities = ["read"]
}

path "smarteros/data/mcp/n8n" {
  capabilities = ["read"]
}

path "smarteros/data/ssh/deploy" {
  capabilities = ["create", "read", "update"]
}

# Where a tenant's server is, as provisioning writes it down. Not the tenant's credentials, which lie beside it.
path "smarteros/data/tenants/+/vps_id" {
  capabilities = ["create", "read", "update"]
}
