#!/bin/sh
# Install Debian or Ubuntu packages when what they bring is missing.
#
#   scripts/system.sh WHAT...      WHAT is one of: venv openmp java chromium postgresql mariadb mosquitto rabbitmq haproxy
#
# Does nothing, and asks for no rights, when all is there already.
set -eu

python=${PYTHON:-python3}

has() {
  case $1 in
  venv) "$python" -c 'import ensurepip, venv' 2>/dev/null ;;
  openmp) "$python" -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null ;; # LightGBM's wheel links it, nobody ships it
  java) command -v java >/dev/null ;;
  chromium) command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ;;
  postgresql) ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null ;;
  mariadb) PATH=$PATH:/usr/sbin command -v mariadbd >/dev/null ;;
  mosquitto) PATH=$PATH:/usr/sbin command -v mosquitto >/dev/null ;;
  rabbitmq) [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] ;;
  haproxy) PATH=$PATH:/usr/sbin command -v haproxy >/dev/null ;;
  *)
    echo "system.sh: unknown: $1; allowed: venv openmp java chromium postgresql mariadb mosquitto rabbitmq haproxy" >&2
    exit 2
    ;;
  esac
}

packages_for() {
  case $1 in
  venv) "$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])' ;;
  openmp) echo libgomp1 ;;
  java) apt-cache search --names-only '^openjdk-(17|21)-jre-headless$' | cut -d' ' -f1 | sort | head -n 1 ;; # Spark 4.0 runs on 17 and 21
  chromium) echo chromium ;;
  postgresql) echo postgresql ;;
  mariadb) echo mariadb-server ;;
  mosquitto) echo mosquitto ;;
  rabbitmq) echo rabbitmq-server ;;
  haproxy) echo haproxy ;;
  esac
}

missing=
for what in "$@"; do
  has "$what" || missing="$missing $what"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
  [ "$(uname)" = Darwin ] && [ "$missing" = " openmp" ] && exit 0 # macOS: LightGBM's wheel finds Homebrew's libomp
  echo "system.sh: missing:$missing; install it with your system's package manager and run make again" >&2
  exit 1
fi
root=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "system.sh: missing:$missing; run 'apt-get install' for it as root, there is no sudo here" >&2
    exit 1
  }
  root=sudo
fi

echo "system.sh: installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  $root env DEBIAN_FRONTEND=noninteractive apt-get "$@" >"$log" 2>&1 || {
    cat "$log" >&2
    exit 1
  }
}
apt update
for what in $missing; do
  package=$(packages_for "$what")
  apt install -y --no-install-recommends "$package"
  has "$what" || {
    echo "system.sh: '$package' is installed, yet $what is still missing" >&2
    exit 1
  }
done
