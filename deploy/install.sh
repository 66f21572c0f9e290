#!/bin/sh
# Installs the SmarterMCP gateway {version} for this user. It was served by {base_url}; read it before you run it:
#
#   curl -fsSL {base_url}/install.sh | sh
#   curl -fsSL {base_url}/install.sh | PREFIX=/opt/smartermcp sh
#
# It downloads one archive and the file with its SHA-256, compares them, tries the binary, and puts it to ~/.local/bin/smartermcp,
# or to bin/ below PREFIX. It changes nothing else, starts nothing, and never asks for root.
#   SMARTERMCP_RELEASES   where the archives are, https only but on this machine; {base_url}/releases unless said
set -eu

# All is in functions that the last line calls: of a download that broke off, nothing is run.
install_smartermcp() {
  version='{version}'
  releases=${SMARTERMCP_RELEASES:-'{base_url}/releases'}
  releases=${releases%/}

  case $version in
    [0-9]*) ;;
    *) fail "this is the script as it lies in the repository; take it from a gateway, at /install.sh" ;;
  esac
  for tool in curl tar gzip sha256sum mktemp awk; do
    command -v "$tool" >/dev/null 2>&1 || fail "$tool is missing; install it and run this again"
  done
  platform=$(platform)
  protocols=$(protocols "$releases")
  if [ -n "${PREFIX:-}" ]; then
    folder=$PREFIX/bin
  elif [ -n "${HOME:-}" ]; then
    folder=$HOME/.local/bin
  else
    fail "neither PREFIX nor HOME is set; set PREFIX to the folder to install below"
  fi

  name=smartermcp-$version-$platform
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM HUP

  say "downloading $name.tar.gz from $releases"
  download SHA256SUMS 1000000
  wanted=$(awk -v file="$name.tar.gz" '$2 == file || $2 == "*" file { print $1; exit }' "$work/SHA256SUMS")
  case $wanted in
    *[!0-9a-f]* | '') fail "$releases/SHA256SUMS names no $name.tar.gz: there is no release $version for $platform" ;;
  esac
  download "$name.tar.gz" 500000000
  found=$(sha256sum <"$work/$name.tar.gz")
  found=${found%% *}
  [ "$found" = "$wanted" ] ||
    fail "the SHA-256 of $name.tar.gz is $found and should be $wanted: it was changed, or broke off. Nothing was installed"

  tar -xzf "$work/$name.tar.gz" -C "$work" "$name/smartermcp" || fail "$name.tar.gz holds no $name/smartermcp"
  says=$("$work/$name/smartermcp" --version 2>&1) ||
    fail "the binary does not run here ($says). Either programs may not run in $work: set TMPDIR to a folder where they may. Or the glibc is older than Debian 12's: there the image runs, docs/installing.md"
  [ "$says" = "smartermcp $version" ] || fail "the binary says '$says' and should be smartermcp $version. Nothing was installed"

  # One that runs goes on with the old file; the next start takes the new one.
  new=$folder/.smartermcp.$$
  if ! { mkdir -p "$folder" && cp "$work/$name/smartermcp" "$new" && chmod 755 "$new" && mv -f "$new" "$folder/smartermcp"; }; then
    rm -f "$new"
    fail "$folder/smartermcp cannot be written; choose a PREFIX that this user may write to"
  fi

  say "installed $folder/smartermcp, version $version"
  case :${PATH:-}: in
    *:"$folder":*) ;;
    *) say "$folder is not in PATH; add it: export PATH=\"$folder:\$PATH\"" ;;
  esac
  say "try it: smartermcp demo      serve: smartermcp serve      all else: smartermcp --help"
}

# The part of the archive's name that says for which machines it is.
platform() {
  system=$(uname -s) machine=$(uname -m)
  case $system-$machine in
    Linux-x86_64 | Linux-amd64) echo linux-x86_64 ;;
    Linux-aarch64 | Linux-arm64) echo linux-aarch64 ;;
    *) fail "there is no binary for $system on $machine; the image runs where Docker does: docs/installing.md" ;;
  esac
}

# What curl may speak to the place of the releases: https, and http to this machine alone.
protocols() {
  case $1 in
    https://?*) echo '=https'; return ;;
    http://?*) ;;
    *) fail "SMARTERMCP_RELEASES is '$1', and should be an https URL" ;;
  esac
  host=${1#http://}
  host=${host%%[/?#]*}
  case $host in
    *@*) ;;
    127.0.0.1 | localhost | '[::1]') echo '=http'; return ;;
    127.0.0.1:* | localhost:* | '[::1]':*)
      case ${host##*:} in
        '' | *[!0-9]*) ;;
        *) echo '=http'; return ;;
      esac ;;
  esac
  fail "$1 is not encrypted; set SMARTERMCP_RELEASES to an https URL"
}

# download FILE BYTES: into the work folder, at most so many.
download() {
  curl --fail --silent --show-error --location --globoff --proto "$protocols" --proto-redir "$protocols" --max-filesize "$2" \
    --connect-timeout 10 --max-time 900 --retry 2 --output "$work/$1" "$releases/$1" ||
    fail "$releases/$1 cannot be downloaded. Nothing was installed"
}

say() { printf 'smartermcp: %s\n' "$1"; }
fail() { say "$1" >&2; exit 1; }

install_smartermcp
