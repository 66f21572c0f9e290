# The writer: documentation, generated code, new workflows.

path "smarteros/data/mcp/smartermcp" {
  capabilities = ["read"]
}

path "smarteros/data/mcp/smartermcp-copilot" {
  capabilities = ["read"]
}

path "smarteros/data/mcp/github" {
  capabilities = ["read"]
}

path "smarteros/data/mcp/context7" {
  capabilities = ["read"]
}
