#!/bin/sh
# What cargo runs the tests by: as root they get a /run/kboot of their own, so that the runs of a boot that
# this machine remembers there stay its own.
[ "$(id -u)" = 0 ] || exec "$@"
# shellcheck disable=SC2016 # the inner shell's
exec unshare --mount --propagation private sh -c \
	'mkdir -p /run/kboot && mount -t tmpfs -o mode=755 tmpfs /run/kboot && exec "$@"' sh "$@"
