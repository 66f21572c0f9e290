# The director: analytics, crm, support and bots, and a look at the infrastructure.

path "smarteros/data/mcp/smartermcp" {
  capabilities = ["read"]
}

path "smarteros/data/mcp/smartermcp-gemini" {
  capabilities = ["read"]
}

# To look only: Vault can keep him from writing here, and cannot narrow what Hostinger's token itself may do.
path "smarteros/data/mcp/hostinger" {
  capabilities = ["read"]
}

path "smarteros/data/mcp/odoo" {
  capabilities = ["read"]
}

path "smarteros/data/mcp/metabase" {
  capabilities = ["read"]
}

path "smarteros/data/mcp/chatwoot" {
  capabilities = ["read"]
}

path "smarteros/data/mcp/botpress" {
  capabilities = ["read"]
}
