#!/usr/bin/env bash
# Installs Debian packages for `make`, as root or through sudo; else it says what to run as root, and fails.
# Without packages it only brings apt's lists up to date.
#
#   deployments/debian.sh 'a C compiler' gcc libc6-dev
set -euo pipefail
what=$1; shift
if ! command -v apt-get >/dev/null; then
  echo "setup: $what is missing, and this is no Debian. Install what Debian calls: $*; then run make again." >&2
  exit 1
fi
wanted="apt-get update"
[ $# = 0 ] || wanted="$wanted && apt-get install --no-install-recommends $*"
as_root=()
if [ "$(id -u)" != 0 ]; then
  as_root=(sudo)
  # Without a terminal nobody can type sudo's password.
  if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
    echo "setup: $what is missing, and sudo is not allowed here. Run as root: $wanted; then run make again." >&2
    exit 1
  fi
fi
[ $# = 0 ] || echo "setup: installing $what from Debian"
"${as_root[@]}" apt-get update -qq &&
  { [ $# = 0 ] || "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null; } || {
  echo "setup: $what could not be installed. Run as root: $wanted; then run make again." >&2
  exit 1
}
