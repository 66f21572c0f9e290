# Whoever speaks to Hostinger's API: reads its token, and nothing else.

path "smarteros/data/mcp/hostinger" {
  capabilities = ["read"]
}

path "smarteros/metadata/mcp/hostinger" {
  capabilities = ["read"]
}
