#!/bin/sh
# Installs or upgrades the gateway as a service of systemd, from the unpacked release archive that this script lies in. As root:
#
#   deploy/systemd/install-service.sh
#
# It makes the user smartermcp, puts the binary to /usr/local/bin, the unit to /etc/systemd/system and settings with a fresh operator's
# token to /etc/smartermcp unless they are there, keeps the old binary and a backup of the embedded database before an upgrade, restarts
# the service, and waits until it takes calls. It can be repeated.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
settings=/etc/smartermcp/settings.toml
say() { printf 'install-service: %s\n' "$1"; }
fail() { say "$1" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "only root may install a service"
[ -d /run/systemd/system ] || fail "this machine is not run by systemd; docs/installing.md has the other ways"
[ -f "$top/smartermcp" ] || fail "$top/smartermcp is missing: run this from the unpacked release archive"
new=$("$top/smartermcp" --version) ||
  fail "the binary does not run here: it needs a glibc as new as Debian 12's, and a folder that is not mounted noexec ($top)"
as_gateway() { (cd / && exec setpriv --reuid=smartermcp --regid=smartermcp --init-groups "$@"); }

install -D -m 644 "$top/deploy/systemd/smartermcp.sysusers" /usr/lib/sysusers.d/smartermcp.conf
systemd-sysusers /usr/lib/sysusers.d/smartermcp.conf
install -d -m 750 -g smartermcp /etc/smartermcp
if [ ! -e "$settings" ]; then
  part=$(mktemp "$settings.XXXXXX")
  {
    cat "$top/deploy/systemd/settings.toml"
    printf '\n# The operator'\''s token.\nadmin_token = "%s"\n' "$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"
  } >"$part"
  chgrp smartermcp "$part"
  chmod 640 "$part"
  mv "$part" "$settings"
  say "$settings written; the operator's token is in it"
fi

if [ -x /usr/local/bin/smartermcp ] && ! cmp -s "$top/smartermcp" /usr/local/bin/smartermcp; then
  old=$(/usr/local/bin/smartermcp --version) ||
    fail "the binary in use does not run, so nothing is upgraded: go back first (docs/installing.md, \"The way back\")"
  # An older binary does not start on a newer database: the two together are the way back. Nothing kept is ever replaced: when an
  # upgrade that failed is repeated, those of the version that worked are still there.
  kept=smartermcp-${old#smartermcp }-$(date -u +%Y%m%dT%H%M%SZ)
  # Whoever went over to PostgreSQL still has the file of the first start.
  if grep -Eiq "^[[:space:]]*[\"']?database_url[\"']?[[:space:]]*=[[:space:]]*[\"'][[:space:]]*[^[:space:]\"']" "$settings"; then
    say "the settings name a PostgreSQL, which was not backed up here: docs/operating.md, \"Backups\""
  elif [ -e /var/lib/smartermcp/smartermcp.db ]; then
    as_gateway /usr/local/bin/smartermcp --config "$settings" backup "/var/lib/smartermcp/$kept.db" ||
      fail "no backup, and so nothing was changed"
  fi
  install -D -m 755 /usr/local/bin/smartermcp "/usr/local/lib/smartermcp/$kept"
  say "$old is kept as /usr/local/lib/smartermcp/$kept"
fi
install -m 755 "$top/smartermcp" /usr/local/bin/.smartermcp.new
mv /usr/local/bin/.smartermcp.new /usr/local/bin/smartermcp
install -d /usr/local/share/doc/smartermcp
cp -R "$top/README.md" "$top/docs" /usr/local/share/doc/smartermcp/
install -m 644 "$top/deploy/systemd/smartermcp.service" /etc/systemd/system/smartermcp.service

systemctl daemon-reload
systemctl enable --quiet smartermcp.service
# Starts that failed before count no more: without this, one whose setting was corrected is not even tried for up to five minutes.
systemctl reset-failed smartermcp.service 2>/dev/null || true
systemctl restart smartermcp.service || true
tries=60
until answer=$(as_gateway /usr/local/bin/smartermcp --config "$settings" health 2>&1); do
  tries=$((tries - 1))
  if [ "$tries" = 0 ] || systemctl is-failed --quiet smartermcp.service; then
    journalctl --unit smartermcp.service --lines 20 --no-pager --output cat >&2 || true
    fail "$new does not take calls ($answer); the lines above say why"
  fi
  sleep 0.5
done
say "$new: $answer"
