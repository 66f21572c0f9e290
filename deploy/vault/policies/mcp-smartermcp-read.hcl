# A client of the gateway: reads its own token, tenant and endpoint, and nothing else.

path "smarteros/data/mcp/smartermcp" {
  capabilities = ["read"]
}

path "smarteros/metadata/mcp/smartermcp" {
  capabilities = ["read"]
}
