# shellcheck shell=sh
# Shared by the scripts of this folder: where things are, how Debian packages come in.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck disable=SC2034 # read by the scripts that source this file
peers=$root/target/peers

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

need_root() {
	[ "$(id -u)" = 0 ] && return 0
	say "${0##*/}: needs root: run it with sudo (namespaces, Debian packages)"
	exit 2
}

# packages NAME...: installs the Debian packages that are missing, and says so. No service is started
# by it: a policy-rc.d that forbids it is laid down for the time of the installation.
packages() {
	missing=
	for p in "$@"; do
		case $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) in
		installed) ;;
		*) missing="$missing $p" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	need_root
	say "installing Debian packages:$missing"
	policy=/usr/sbin/policy-rc.d
	ours=no
	if [ ! -e $policy ]; then
		ours=yes
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
	fi
	# shellcheck disable=SC2086 # one word a package
	{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends $missing; } \
		>&2 </dev/null || { [ $ours = no ] || rm -f $policy; die "apt-get could not install:$missing"; }
	[ $ours = no ] || rm -f $policy
}
