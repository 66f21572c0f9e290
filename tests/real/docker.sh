#!/usr/bin/env bash
# Runs services and containers against a real dockerd that is started for it: two tenants on one Docker, one by its socket, one over
# TLS. Prints a Markdown report. Needs root, and a kernel that lets root run containers.
#
# The daemon has its own folder, no default bridge and no rule of the firewall, so that it leaves nothing behind and disturbs no
# other one. Its images are made here, of busybox: no registry is asked.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=${1:-$here/../../target/debug/smartermcp}
say() { printf 'docker.sh: %s\n' "$*" >&2; }

[ "$(id -u)" = 0 ] || { say "only root can start a dockerd"; exit 1; }
missing=()
command -v dockerd >/dev/null || missing+=(docker.io)
[ -x /bin/busybox ] || missing+=(busybox-static)
command -v openssl >/dev/null || missing+=(openssl)
command -v prometheus >/dev/null || missing+=(prometheus)
command -v prometheus-node-exporter >/dev/null || missing+=(prometheus-node-exporter)
if [ "${#missing[@]}" -gt 0 ]; then
  say "installing ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >&2
fi

folder=$(mktemp -d /tmp/smartermcp-docker.XXXXXX)
socket=$folder/docker.sock
docker() { command docker -H "unix://$socket" "$@"; }
export DOCKER_CONFIG=$folder/config
mkdir -p "$DOCKER_CONFIG"

# shellcheck disable=SC2329
clean_up() {
  set +e
  if [ -S "$socket" ]; then
    local left
    left=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -n "$left" ] && docker rm -f $left >/dev/null 2>&1
    docker network rm smartermcp-front smartermcp-back >/dev/null 2>&1
  fi
  for pid in ${watchers:-}; do
    kill "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  done
  if [ -n "${daemon:-}" ]; then
    kill "$daemon" 2>/dev/null
    wait "$daemon" 2>/dev/null
  fi
  # What the daemon has mounted in its folder, the innermost first.
  awk -v under="$folder/" 'index($5, under) == 1 { print $5 }' /proc/self/mountinfo | sort -r | xargs -r umount
  rm -rf "$folder"
}
trap clean_up EXIT

# Certificates: an authority, the Docker's, and ours.
tls=$folder/tls
mkdir "$tls"
(
  cd "$tls"
  openssl req -x509 -newkey rsa:2048 -nodes -keyout ca-key.pem -out ca.pem -days 2 -subj /CN=played-authority 2>/dev/null
  for who in server client; do
    openssl req -newkey rsa:2048 -nodes -keyout $who-key.pem -out $who.csr -subj /CN=$who 2>/dev/null
    case $who in
      server) printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' ;;
      client) printf 'extendedKeyUsage=clientAuth\n' ;;
    esac >$who.ext
    openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile $who.ext -out $who.pem 2>/dev/null
  done
)

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# A Prometheus that watches this machine, for what infra_status tells where both are connected.
exporter=$(free_port)
prometheus=$(free_port)
prometheus-node-exporter --web.listen-address="127.0.0.1:$exporter" >"$folder/exporter.log" 2>&1 &
watchers=$!
cat >"$folder/prometheus.yml" <<YAML
global: { scrape_interval: 1s, scrape_timeout: 1s }
scrape_configs:
  - job_name: node
    static_configs: [{ targets: ["127.0.0.1:$exporter"] }]
YAML
prometheus --config.file="$folder/prometheus.yml" --storage.tsdb.path="$folder/series" --web.listen-address="127.0.0.1:$prometheus" \
  >"$folder/prometheus.log" 2>&1 &
watchers="$watchers $!"

port=$(free_port)
dockerd -H "unix://$socket" -H "tcp://127.0.0.1:$port" \
  --tlsverify --tlscacert "$tls/ca.pem" --tlscert "$tls/server.pem" --tlskey "$tls/server-key.pem" \
  --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" \
  --bridge none --iptables=false --ip6tables=false --ip-masq=false >"$folder/dockerd.log" 2>&1 &
daemon=$!
for _ in $(seq 100); do
  docker version >/dev/null 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || { cat "$folder/dockerd.log" >&2; exit 1; }
  sleep 0.1
done
docker version --format 'dockerd {{.Server.Version}}, API {{.Server.APIVersion}}' >&2

# Versions of one image: 1 and 2 get well, 3 never does, 4 ends at once.
for version in 1 2 3 4; do
  root=$folder/image-$version
  mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/proc" "$root/sys" "$root/dev"
  cp /bin/busybox "$root/bin/busybox"
  for applet in sh sleep echo test httpd; do ln -s busybox "$root/bin/$applet"; done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  cat >"$root/bin/app" <<APP
#!/bin/sh
trap 'echo "tienda $version ends"; exit 0' TERM
echo "tienda $version starts, key \$KEY"
echo "its complaints" >&2
httpd -p 80 -h /tmp
n=0
while true; do n=\$((n + 1)); printf '\033[32mtick %d\033[0m\n' "\$n"; sleep 1; done
APP
  case $version in
    3) printf '#!/bin/sh\necho "cannot find its data"; exit 1\n' >"$root/bin/check" ;;
    *) printf '#!/bin/sh\nexit 0\n' >"$root/bin/check" ;;
  esac
  [ "$version" = 4 ] && printf '#!/bin/sh\necho "a wrong setting" >&2; exit 3\n' >"$root/bin/app"
  echo "tienda $version" >"$root/tmp/index.html"
  ln -s busybox "$root/bin/printf"
  chmod 755 "$root/bin/app" "$root/bin/check"
  tar -C "$root" -c . | docker import \
    -c 'CMD ["/bin/app"]' -c "ENV KEY=of-image-$version" -c 'HEALTHCHECK --interval=1s --timeout=2s --retries=2 CMD /bin/check' \
    - "registry.invalid/tienda:$version" >/dev/null
done
docker network create smartermcp-front >/dev/null
docker network create smartermcp-back >/dev/null

REAL_PROMETHEUS=$prometheus REAL_SOCKET=$socket REAL_TLS_PORT=$port REAL_TLS=$tls node "$here/docker.mjs" "$binary"
