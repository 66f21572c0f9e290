#!/usr/bin/env bash
# Puts a real n8n (with the Node it needs) into a cache folder, so that tests can run against n8n itself instead of a fake.
#
#   tests/real/n8n.sh            installs what is missing, then prints the folder on stdout; everything else goes to stderr
#
# REAL_DIR     the cache folder (default: target/real in this repository); a finished install there is used again
# N8N_VERSION  the n8n to install (default 2.41.1)
#
# Needs npm, about 3 GB of disk, and python3, make and a C++ compiler where no built SQLite binding can be downloaded.
# The first run takes minutes, a later one none. Start two instances with tests/real/n8n_instances.mjs afterwards.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
real=${REAL_DIR:-$repo/target/real}
version=${N8N_VERSION:-2.41.1}
node_major=24

mkdir -p "$real"
real=$(cd "$real" && pwd)
node_dir=$real/node$node_major
n8n_dir=$real/n8n-$version

# A lock file that names no registry can be used again behind any other one.
export npm_config_omit_lockfile_registry_resolved=true
export npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false

say() { printf 'n8n.sh: %s\n' "$*" >&2; }

# Two test runs on one machine may share the cache: the second waits for the first.
if command -v flock >/dev/null; then
  exec 9>"$real/.n8n.lock"
  flock 9
fi

install_node() {
  [[ -e $node_dir/.done ]] && return
  say "Node $node_major"
  rm -rf "$node_dir" && mkdir -p "$node_dir"
  # The package's install script fetches the binary of this platform; newer npm runs only scripts that are allowed.
  echo '{"private":true,"allowScripts":{"node":true}}' >"$node_dir/package.json"
  (cd "$node_dir" && npm install "node@$node_major" --no-save >&2)
  "$node_dir/node_modules/.bin/node" --version >&2
  touch "$node_dir/.done"
}

install_n8n() {
  [[ -e $n8n_dir/.done ]] && return
  say "n8n $version (this takes a few minutes)"
  mkdir -p "$n8n_dir"
  # These three ask for releases that not every registry holds; the pinned ones serve as well.
  cat >"$n8n_dir/package.json" <<'JSON'
{
  "private": true,
  "allowScripts": { "sqlite3": true },
  "overrides": {
    "linkedom": "0.18.12",
    "@langchain/langgraph": "1.4.18",
    "@langchain/protocol": "0.0.19"
  }
}
JSON
  (
    cd "$n8n_dir"
    # Without install scripts: one dependency (a Kafka client) would insist on a native build that n8n's core does not need.
    npm install "n8n@$version" --legacy-peer-deps --ignore-scripts >&2
    say "SQLite binding"
    # Where it must be compiled, this Node's own headers serve, so that none are downloaded.
    headers=$(echo "$node_dir"/node_modules/node/node_modules/node-*/include)
    [[ -d $headers ]] && export npm_config_nodedir=${headers%/include}
    npm rebuild sqlite3 >&2
    node -e 'require("sqlite3")'
  )
  touch "$n8n_dir/.done"
}

install_node
export PATH=$node_dir/node_modules/.bin:$PATH
install_n8n
ln -sfn "n8n-$version" "$real/n8n"

say "ready: n8n $version on Node $(node --version)"
echo "$real"
