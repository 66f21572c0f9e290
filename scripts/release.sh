#!/usr/bin/env bash
# Builds the release archive for this machine's platform, dist/smartermcp-VERSION-PLATFORM.tar.gz, and dist/SHA256SUMS of all
# archives there: what deploy/install.sh downloads. Equal sources and tools make an equal archive.
#   BINARY=…   a binary that is built already, instead of `cargo build --release`
#   OUT=…      another folder than dist
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "release.sh: $1" >&2; exit 1; }

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
case $(uname -s)-$(uname -m) in
  Linux-x86_64) platform=linux-x86_64 ;;
  Linux-aarch64) platform=linux-aarch64 ;;
  *) fail "no release is built on $(uname -s) $(uname -m); install.sh knows linux-x86_64 and linux-aarch64" ;;
esac
binary=${BINARY:-}
if [ -z "$binary" ]; then
  cargo build --locked --release
  binary=target/release/smartermcp
fi
says=$("$binary" --version) || fail "$binary does not run"
[ "$says" = "smartermcp $version" ] || fail "$binary says '$says', and Cargo.toml $version"

out=${OUT:-dist}
name=smartermcp-$version-$platform
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work/$name"
# Names of functions stay for backtraces; lines go, and with them most of the file.
strip --strip-debug -o "$work/$name/smartermcp" "$binary"
# Of deploy/ what is in the repository, so that no secret that lies there goes along.
git ls-files -z README.md CHANGELOG.md 'LICENSE*' docs deploy | xargs -0 cp --parents -t "$work/$name"
chmod -R u=rwX,go=rX "$work/$name"
date=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
tar -C "$work" --sort=name --mtime="@$date" --owner=0 --group=0 --numeric-owner -c "$name" | gzip -n >"$out/$name.tar.gz.new"
mv "$out/$name.tar.gz.new" "$out/$name.tar.gz"
(cd "$out" && sha256sum -- smartermcp-*.tar.gz >SHA256SUMS.new && mv SHA256SUMS.new SHA256SUMS)
printf '%s  %s bytes, the binary %s bytes\n' "$out/$name.tar.gz" "$(stat -c %s "$out/$name.tar.gz")" "$(stat -c %s "$work/$name/smartermcp")"
