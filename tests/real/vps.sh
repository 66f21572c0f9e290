#!/usr/bin/env bash
# Runs `make deploy-vps` against a Debian with systemd as its first process and sshd, in systemd-nspawn on this machine, and looks at
# the service under its unit. Prints a Markdown report. Needs root, Debian's packages and the ports 8080 and 22022 of loopback.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top"
binary=${1:-target/debug/smartermcp}
say() { printf 'vps.sh: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
ok() { printf -- '- ok: %s\n' "$*"; }

[ "$(id -u)" = 0 ] || fail "only root can start a container"
missing=()
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
command -v ssh >/dev/null || missing+=(openssh-client)
if [ "${#missing[@]}" -gt 0 ]; then
  say "installing ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >&2
fi
for port in 8080 22022; do
  ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || fail "port $port of 127.0.0.1 is taken"
done

kept=$top/target/real-vps
folder=$(mktemp -d /tmp/smartermcp-vps.XXXXXX)
# shellcheck disable=SC2329
clean_up() {
  set +e
  [ -z "${machine:-}" ] || { kill "$machine"; wait "$machine"; } 2>/dev/null
  rm -rf "$folder"
}
trap clean_up EXIT

# shellcheck disable=SC1091
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mkdir -p "$kept"
if [ ! -s "$kept/$suite.tar" ]; then
  say "making a Debian $suite"
  sources=/etc/apt/sources.list.d/debian.sources
  [ -e "$sources" ] || sources=/etc/apt/sources.list
  mmdebstrap --quiet --variant=minbase --include=systemd-sysv,openssh-server,dbus,procps,ca-certificates \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' "$suite" "$kept/new.tar" "$sources" >&2
  mv "$kept/new.tar" "$kept/$suite.tar"
fi
root=$folder/root
mkdir "$root"
tar -C "$root" --exclude './dev/*' -xf "$kept/$suite.tar"
ssh-keygen -q -t ed25519 -N '' -f "$folder/key"
install -d -m 700 "$root/root/.ssh"
install -m 600 "$folder/key.pub" "$root/root/.ssh/authorized_keys"
printf 'Port 22022\nListenAddress 127.0.0.1\n' >"$root/etc/ssh/sshd_config.d/real.conf"
systemd-nspawn --quiet --register=no --keep-unit --machine=vps --boot --directory "$root" --console=pipe </dev/null >"$folder/boot.log" 2>&1 &
machine=$!

export HOST=root@127.0.0.1
export SSH_OPTIONS="-p 22022 -i $folder/key -o UserKnownHostsFile=$folder/known -o StrictHostKeyChecking=accept-new -o LogLevel=ERROR"
# shellcheck disable=SC2086
there() { ssh $SSH_OPTIONS -o BatchMode=yes "$HOST" "$@"; }
for _ in $(seq 150); do
  there true 2>/dev/null && break
  kill -0 "$machine" 2>/dev/null || { tail -20 "$folder/boot.log" >&2; fail "the machine does not start"; }
  sleep 0.2
done

BINARY=$binary OUT=$folder/dist scripts/release.sh >&2
ARCHIVE=$(ls "$folder"/dist/*.tar.gz)
export ARCHIVE

cat <<REPORT
## A machine with systemd, $(date +%F)

A Debian $suite in systemd-nspawn, $(there systemctl --version | head -1) as its first process, reached by ssh. An archive that \`scripts/release.sh\` made
of a debug build.

REPORT
deploy() { make --no-print-directory deploy-vps >"$folder/deploy.log" 2>&1; }
gateway() { there "setpriv --reuid=smartermcp --regid=smartermcp --init-groups smartermcp --config /etc/smartermcp/settings.toml $1"; }

DRY_RUN=1 deploy
! there test -e /usr/local/bin/smartermcp || fail "DRY_RUN installed something"
ok "\`make deploy-vps DRY_RUN=1\` says what it would do, and does nothing: \`$(tail -1 "$folder/deploy.log")\`"
deploy || { cat "$folder/deploy.log" >&2; fail "it is not installed"; }
ok "\`make deploy-vps HOST=$HOST\`: \`$(tail -1 "$folder/deploy.log")\`"
ok "what is there: $(there 'stat -c "%n %A %U:%G" /etc/smartermcp /etc/smartermcp/* /var/lib/smartermcp /var/lib/smartermcp/master.key /usr/local/bin/smartermcp' | paste -sd ';' | sed 's/;/; /g')"
told=$(there 'journalctl -u smartermcp -o cat --no-pager')
! grep -q 'smcp_' <<<"$told" || fail "a token is in the journal"
ok "no token is in the journal; the operator's in the settings is taken: HTTP $(
  curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/api/v1/whoami -H "Authorization: Bearer $(there "sed -n 's/^admin_token = \"\(.*\)\"/\1/p' /etc/smartermcp/settings.toml")"
)"
gateway doctor >"$folder/doctor.log" 2>&1 || { cat "$folder/doctor.log" >&2; fail "the doctor finds something"; }
ok "\`smartermcp doctor\` as the user smartermcp: $(grep -c '^ok' "$folder/doctor.log") checks passed, none failed"
ok "the process: $(there 'grep -E "^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):" "/proc/$(systemctl show -p MainPID --value smartermcp)/status"' | tr -s '\t' ' ' | paste -sd ';' | sed 's/;/; /g')"
said=$(there 'nsenter -m -t "$(systemctl show -p MainPID --value smartermcp)" sh -c "touch /usr/x; touch /etc/x; ls /root /home; touch /var/lib/smartermcp/x && rm /var/lib/smartermcp/x && echo data"' 2>&1)
[ "$(grep -c 'Read-only file system' <<<"$said")" = 2 ] && grep -qx data <<<"$said" || fail "$said"
ok "what it sees is read-only but for its data directory, for root too: \`$(head -1 <<<"$said")\`"
there systemctl kill --signal=KILL smartermcp
for _ in $(seq 100); do gateway health >/dev/null 2>&1 && break; sleep 0.1; done
ok "killed, it is started again: NRestarts $(there systemctl show -p NRestarts --value smartermcp), $(gateway health)"

# A sandboxed demo plays every backend, so that each tool runs under the unit's filters.
there 'mkdir -p /run/systemd/system/smartermcp.service.d; printf "[Service]\nExecStart=\nExecStart=/usr/local/bin/smartermcp demo --listen 127.0.0.1:8080\n" >/run/systemd/system/smartermcp.service.d/demo.conf
  systemctl daemon-reload; systemctl restart smartermcp'
for _ in $(seq 100); do
  token=$(there 'journalctl -u smartermcp -o cat --no-pager' | grep -oE 'smcp_[A-Za-z0-9_-]{20,}' | head -1 || true)
  [ -z "$token" ] || break
  sleep 0.1
done
answers=""
for path in services workflows crm/pipeline support/metrics analytics/kpis bots infra/status containers docs/services/n8n; do
  answers+="$path $(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:8080/api/v1/$path" -H "Authorization: Bearer $token"), "
done
! grep -qE ' [345][0-9][0-9],' <<<"$answers" || fail "$answers"
ok "the demo under the same unit (system calls filtered, no memory both writable and executable): ${answers%, }"
there 'rm -r /run/systemd/system/smartermcp.service.d; systemctl daemon-reload; systemctl restart smartermcp'

# A machine with an older version: the binary says another, and is the same.
older() {
  there 'mv /usr/local/bin/smartermcp /usr/local/bin/played; printf "#!/bin/sh\n[ \"\$1\" != --version ] || { echo smartermcp 0.9.0; exit; }\nexec /usr/local/bin/played \"\$@\"\n" >/usr/local/bin/smartermcp; chmod 755 /usr/local/bin/smartermcp'
}
older
deploy || { cat "$folder/deploy.log" >&2; fail "it is not upgraded"; }
kept=$(there ls /usr/local/lib/smartermcp)
if [[ ! $kept =~ ^smartermcp-0\.9\.0-[0-9TZ]+$ ]] || ! grep -q "$kept.db: .*checked" "$folder/deploy.log"; then fail "$(cat "$folder/deploy.log")"; fi
ok "over a version that calls itself 0.9.0: \`$(grep -o 'smartermcp-0.9.0-.*checked' "$folder/deploy.log")\`, \`$(tail -2 "$folder/deploy.log" | paste -sd ';' | sed 's/;/; /')\`"

# The way back, as docs/installing.md has it, and the upgrade repeated.
there "systemctl stop smartermcp; install -m 755 /usr/local/lib/smartermcp/$kept /usr/local/bin/smartermcp"
gateway "restore /var/lib/smartermcp/$kept.db" >"$folder/restore.log" 2>&1 || fail "$(cat "$folder/restore.log")"
there 'systemctl reset-failed smartermcp; systemctl start smartermcp'
for _ in $(seq 100); do gateway health >/dev/null 2>&1 && break; sleep 0.1; done
ok "the way back: \`$(head -1 "$folder/restore.log")\`, $(there smartermcp --version), $(gateway health)"
deploy || { cat "$folder/deploy.log" >&2; fail "it is not upgraded again"; }
there "test -s /usr/local/lib/smartermcp/$kept && test -s /var/lib/smartermcp/$kept.db" || fail "what was kept is gone"
[ "$(there ls /usr/local/lib/smartermcp | wc -l)" = 2 ] || fail "$(there ls /usr/local/lib/smartermcp)"
ok "upgraded again, it keeps a second binary and backup beside the first"

# Settings of a gateway that went over to PostgreSQL, over the file that its first start left.
older
there 'echo "database_url = \"postgres://smartermcp@127.0.0.1:1/smartermcp\"" >>/etc/smartermcp/settings.toml'
! deploy || fail "it takes calls without its PostgreSQL"
if ! grep -q 'was not backed up here' "$folder/deploy.log" || [ "$(there smartermcp --version)" = 'smartermcp 0.9.0' ]; then
  fail "$(cat "$folder/deploy.log")"
fi
ok "with PostgreSQL in the settings it upgrades, and says: \`$(grep -o 'the settings name.*' "$folder/deploy.log")\`"
there 'sed -i /^database_url/d /etc/smartermcp/settings.toml'
deploy || { cat "$folder/deploy.log" >&2; fail "it does not come back"; }
there 'echo "nonsense = 1" >>/etc/smartermcp/settings.toml; systemctl restart smartermcp || true'
! deploy || fail "a wrong setting is not told"
ok "with a wrong setting it fails and says which: \`$(grep -o 'does not take calls (.\{60\}' "$folder/deploy.log")…\`"
there 'sed -i /^nonsense/d /etc/smartermcp/settings.toml'
deploy || { cat "$folder/deploy.log" >&2; fail "it does not come back"; }
ok "corrected, it comes at the next \`make deploy-vps\`, although systemd had given it up"
head -c 1000000 "$ARCHIVE" >"$folder/part" && mv "$folder/part" "$ARCHIVE"
! deploy || fail "half an archive is installed"
ok "half an archive is refused there: \`$(grep -o 'smartermcp-.*FAILED' "$folder/deploy.log")\`; the service is $(there systemctl is-active smartermcp)"
ok "\`systemctl stop\`: $(there 'systemctl stop smartermcp; systemctl show -p Result,ExecMainStatus smartermcp' | paste -sd ' ')"
