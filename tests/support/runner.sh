#!/bin/sh
# What cargo runs the tests by: as root they get a /run/kboot of their own, so that the runs of a boot that
# this machine remembers there stay its own.
[ "$(id -u)" = 0 ] || exec "$@"
if [ "${1-}" != --inside ]; then
	exec unshare --mount --propagation private "$0" --inside "$@"
fi
shift
mkdir -p /run/kboot && mount -t tmpfs -o mode=755 tmpfs /run/kboot || exit
case ${KBOOT_BIN-} in
*-aarch64) [ "$(uname -m)" = aarch64 ] || arm64=kboot-test-$$ ;;
esac
[ -n "${arm64-}" ] || exec "$@"
# A binary for arm64, on another machine: QEMU runs it wherever it is called and copied to. F: the kernel opens
# QEMU now, for foreign roots; P: argv[0] stays. The magic is ELF64's, little-endian, machine 183.
entries=/proc/sys/fs/binfmt_misc
mount -t binfmt_misc none $entries || exit
head='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff'
printf ':%s:M::%s\\x02\\x00\\xb7\\x00:%s\\xfe\\xff\\xff\\xff:/usr/bin/qemu-aarch64-static:FP' "$arm64" "$head" "$mask" \
	>$entries/register || exit
"$@"
status=$?
echo -1 >"$entries/$arm64"
exit $status
