#!/bin/bash
# dracut.modules(7): kboot, with
#
#   /etc/kboot/boot      the boot list; where it is, the module is taken without being asked for
#   /etc/kboot/modules   modules to load, one a line; without it those of a bridge with nf_tables
#   /etc/kboot/files     more files, SRC[:DST[:MODE]], one a line; # begins a comment
# shellcheck disable=SC2154 # dracutbasedir, dracutsysrootdir, initdir, kernel, moddir are dracut's

# Where kboot is; dracut's PATH has not all of them.
program() {
    local dir
    for dir in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin; do
        [[ -x ${dracutsysrootdir-}$dir/kboot ]] && echo "$dir/kboot" && return 0
    done
    return 1
}

check() {
    if ! program >/dev/null; then
        dinfo "dracut module 'kboot' will not be installed, because there is no kboot in PATH"
        return 1
    fi
    [[ -e ${dracutsysrootdir-}/etc/kboot/boot ]] || return 255
}

depends() {
    # dracut-network has it: the drivers of network links.
    local drivers=("$dracutbasedir"/modules.d/[0-9][0-9]kernel-network-modules)
    [[ ! -d ${drivers[0]} ]] || echo kernel-network-modules
}

installkernel() {
    local module modules='bridge br_netfilter nf_tables nft_chain_nat nft_masq nft_ct'
    if [[ -e ${dracutsysrootdir-}/etc/kboot/modules ]]; then
        modules=$(sed 's/#.*//' "${dracutsysrootdir-}/etc/kboot/modules")
    fi
    # Without hostonly: what is not loaded here may be needed there.
    for module in $modules; do
        hostonly='' instmods -c -s "$module" || dwarn "kboot: kernel $kernel has no module $module: the boot list will not have it"
    done
}

# put FROM TO [MODE]; what the boot list needs and is not there ends dracut.
put() {
    if [[ $2 != /* ]]; then
        dfatal "kboot: $1: the path in the image, $2, does not begin with / (/etc/kboot/files)"
        exit 1
    fi
    if ! inst_simple "$1" "$2"; then
        dfatal "kboot: $1: no such file (it is named in /etc/kboot/files)"
        exit 1
    fi
    [[ -z ${3-} ]] || chmod "$3" "$initdir/$2" || exit 1
}

install() {
    local from to mode
    # A list with a mistake would cost a boot: it says itself where it is.
    "$(program)" init --once --quiet --boot "${dracutsysrootdir-}/etc/kboot/boot" --dry-run >/dev/null ||
        [[ $? != 2 ]] || exit 1
    inst_simple "$(program)" /bin/kboot
    inst_multiple -o /etc/kboot/boot /etc/kboot/modules
    if [[ -e ${dracutsysrootdir-}/etc/kboot/files ]]; then
        # The last line may lack its end.
        while IFS=: read -r from to mode || [[ -n $from ]]; do
            [[ -z $from || $from == '#'* ]] || put "$from" "${to:-$from}" "$mode"
        done <"${dracutsysrootdir-}/etc/kboot/files"
    fi
    inst_hook pre-mount 50 "$moddir/kboot.sh"
}
