#!/usr/bin/env bash
# Installs or upgrades the gateway on a machine with systemd, over ssh: make deploy-vps HOST=root@vps.example.cl
# The user is root, or may become root by sudo without a password. The archive is the one in dist/ for linux-x86_64, unless ARCHIVE
# names another. With DRY_RUN=1 it says what it would do, and does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "deploy-vps: $1" >&2; exit 1; }

host=${HOST:-}
[ -n "$host" ] || fail "say where: make deploy-vps HOST=root@vps.example.cl"
# A host that begins with a dash would be an option of ssh.
[[ $host =~ ^([A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9.:_-]*$ ]] || fail "HOST is '$host', and should be a host or user@host"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
archive=${ARCHIVE:-dist/smartermcp-$version-linux-x86_64.tar.gz}
[ -f "$archive" ] || fail "$archive is missing: make release"
file=$(basename "$archive")
name=${file%.tar.gz}
sum=$(grep -E "^[0-9a-f]{64} [ *]$(printf '%s' "$file" | sed 's/\./\\./g')\$" "$(dirname "$archive")/SHA256SUMS") || fail "$(dirname "$archive")/SHA256SUMS names no $file"

# What runs there. Nothing in it is the operator's text but the archive's name, which is checked.
[[ $name =~ ^smartermcp-[0-9A-Za-z.+-]+-linux-[a-z0-9_]+$ ]] || fail "'$file' is not the name of a release archive"
# It unpacks in the user's home, since programs may not run in the /tmp of some machines.
there="set -eu
folder=\$(mktemp -d \"\$HOME/.smartermcp-deploy.XXXXXX\")
trap 'rm -rf \"\$folder\"' EXIT
cd \"\$folder\"
cat >$file
echo '$sum' | sha256sum --check --quiet
tar -xzf $file
if [ \"\$(id -u)\" = 0 ]; then root=; else root='sudo -n'; fi
\$root sh ./$name/deploy/systemd/install-service.sh"

cat <<PLAN
On $host:
  1. send $file ($(stat -c %s "$archive") bytes) by ssh, and check its SHA-256
  2. run deploy/systemd/install-service.sh of it as root: user smartermcp, /usr/local/bin/smartermcp (the one there is kept in
     /usr/local/lib/smartermcp), /etc/systemd/system/smartermcp.service, /etc/smartermcp/settings.toml unless it is there; before an
     upgrade a backup of the embedded database; restart
  3. wait until /health/ready says that it takes calls, 30 s at most
PLAN
if [ -n "${DRY_RUN:-}" ]; then
  echo "DRY_RUN is set: nothing was done."
  exit 0
fi
# shellcheck disable=SC2086 # SSH_OPTIONS are several words.
ssh ${SSH_OPTIONS:-} -o BatchMode=yes -o ConnectTimeout=10 -- "$host" "$there" <"$archive"
