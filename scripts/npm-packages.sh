#!/usr/bin/env bash
# Lays out the npm packages of the gateway: scripts/npm-packages.sh BINARY OUT
#
# OUT/mcp-server is the launcher, OUT/mcp-server-<platform> each platform's package. Only this machine's platform gets the BINARY: the
# others are marked `private`, which npm refuses to publish, until they are laid out on a machine of theirs.
set -euo pipefail

fail() { echo "npm-packages: $1" >&2; exit 1; }
[ $# = 2 ] || fail "say BINARY and OUT, e.g. target/release/smartermcp target/npm"
binary=$1 out=$2 root=$(cd "$(dirname "$0")/.." && pwd)
[ -f "$binary" ] && [ -x "$binary" ] || fail "$binary is no program; make build makes target/release/smartermcp"
# With its folder: a bare name would be looked for in the PATH.
binary=$(cd "$(dirname "$binary")" && pwd)/$(basename "$binary")
[ ! -e "$out" ] || fail "$out is there already; remove it, or name another folder"

# The first version in Cargo.toml is the package's own.
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
[ "$("$binary" --version)" = "smartermcp $version" ] || fail "$binary is $("$binary" --version), and Cargo.toml says $version"
case "$(uname -s)" in Linux) os=linux ;; Darwin) os=darwin ;; *) fail "no package is laid out on $(uname -s)" ;; esac
case "$(uname -m)" in x86_64) cpu=x64 ;; aarch64 | arm64) cpu=arm64 ;; *) fail "there is no package for $(uname -m)" ;; esac
here=$os-$cpu

platforms=(linux-x64 linux-arm64 darwin-x64 darwin-arm64 win32-x64)
common='"version": "'$version'",
  "license": "UNLICENSED",
  "homepage": "https://mcp.smarterbot.cl/docs",
  "repository": { "type": "git", "url": "git+https://github.com/SmarterCL/smartermcp-server.git", "directory": "deploy/npm" },
  "publishConfig": { "access": "public" }'

dependencies=
for platform in "${platforms[@]}"; do
  folder=$out/mcp-server-$platform
  mkdir -p "$folder"
  dependencies+="${dependencies:+,}
    \"@smartercl/mcp-server-$platform\": \"$version\""
  libc='' private='"private": true,'
  # A binary that is linked against glibc is of no use on Alpine.
  case $platform in linux-*) libc='"libc": ["glibc"],' ;; esac
  if [ "$platform" = "$here" ]; then
    private=
    install -m 755 "$binary" "$folder/smartermcp"
    echo "The binary of SmarterMCP for $platform. Install @smartercl/mcp-server, which brings it." > "$folder/README.md"
  else
    echo "Laid out without its binary: run scripts/npm-packages.sh on $platform." > "$folder/README.md"
  fi
  cat > "$folder/package.json" <<JSON
{
  "name": "@smartercl/mcp-server-$platform",
  "description": "The SmarterMCP gateway's binary for $platform",
  ${private:+$private
  }"os": ["${platform%-*}"],
  "cpu": ["${platform#*-}"],
  ${libc:+$libc
  }$common
}
JSON
done

mkdir -p "$out/mcp-server"
install -m 755 "$root/deploy/npm/smartermcp.js" "$out/mcp-server/smartermcp.js"
install -m 644 "$root/deploy/npm/README.md" "$out/mcp-server/README.md"
cat > "$out/mcp-server/package.json" <<JSON
{
  "name": "@smartercl/mcp-server",
  "description": "The SmarterMCP gateway: one call from an agent to a tenant's own services, over MCP and REST",
  "bin": { "smartermcp": "smartermcp.js" },
  "engines": { "node": ">=20" },
  "optionalDependencies": {$dependencies
  },
  $common
}
JSON
echo "$out: mcp-server $version, with a binary for $here alone"
