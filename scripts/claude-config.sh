#!/usr/bin/env bash
# Prints the lines for claude_desktop_config.json, for the gateway at SMARTERMCP_URL and the token SMARTERMCP_API_TOKEN.
set -euo pipefail
url=${SMARTERMCP_URL:-http://127.0.0.1:8080}
token=${SMARTERMCP_API_TOKEN:-smcp_put-your-token-here}
cat <<JSON
{
  "mcpServers": {
    "smartermcp": {
      "command": "npx",
      "args": ["-y", "mcp-remote@0.15.1", "${url%/}/mcp", "--transport", "http-only", "--header", "Authorization:\${AUTH_HEADER}"],
      "env": { "AUTH_HEADER": "Bearer ${token}" }
    }
  }
}
JSON
