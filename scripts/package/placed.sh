# shellcheck shell=sh
# What scripts/install has put on a host, and what it may change there. The list, $manifest, has a line for
# each path: what was put there (the sum of a file, a link's target, a directory) and the path.
# shellcheck disable=SC2154 # stage, work, dest, prefix, manifest, only are scripts/install's

# What a path is: a link with its target, the sum of a file, or neither.
what_is() {
	if [ -L "$1" ]; then
		echo "link:$(readlink "$1")"
	elif [ -f "$1" ]; then
		sha256sum <"$1" | cut -d ' ' -f 1
	elif [ -d "$1" ]; then
		echo directory
	else
		echo none
	fi
}

# Whether what is at a path is what this script once put there.
is_ours() {
	[ -e "$manifest" ] && grep -qxF -e "$(what_is "$dest$1") $1" "$manifest"
}

# Whether no package has it.
is_nobodys() {
	echo "$1" >"$work/one"
	[ -z "$(of_packages "$work/one")" ]
}

# Judges all paths before the first is touched: what is new, what changes, what is somebody else's.
judge() {
	foreign=
	: >"$work/new"
	: >"$work/ours"
	: >"$work/paths"
	: >"$work/parents"
	if [ -d "$stage" ]; then
		(cd "$stage" && find . ! -type d | sed 's/^\.//' | sort) >"$work/paths"
		(cd "$stage" && find . -type d | sed 's/^\.//' | sort) >"$work/parents"
	fi
	while read -r path; do
		[ -d "$dest$path" ] || [ "$(what_is "$dest$path")" = none ] || foreign="$foreign $dest$path"
	done <"$work/parents"
	while read -r path; do
		there=$(what_is "$dest$path") wanted=$(what_is "$stage$path")
		if [ "$there" = none ]; then
			echo "$path" >>"$work/new"
		elif is_ours "$path"; then
			[ "$there" = "$wanted" ] || echo "$path" >>"$work/new"
		elif [ "$there" = "$wanted" ] && [ "$path" = "$prefix/sbin/kboot" ] && is_nobodys "$path"; then
			# The program, put there by hand: the next version has to find it on the list.
			:
		elif [ "$there" = "$wanted" ]; then
			# Right as it is, and somebody else's: it is not on the list, and stays.
			continue
		else
			foreign="$foreign $dest$path"
			continue
		fi
		echo "$wanted $path" >>"$work/ours"
	done <"$work/paths"
	[ -z "$foreign" ] || die "is there and was not put there by scripts/install; remove or move it, nothing was changed:$foreign"
}

# The directories that are to be made, and those that an earlier run made, outermost first.
directories() {
	{
		sed -n 's/^directory //p' "$work/before"
		while read -r path; do
			path=${path%/*}
			while [ -n "$path" ] && [ ! -d "$dest$path" ]; do
				echo "$path"
				path=${path%/*}
			done
		done <"$work/new"
		echo "$prefix/lib/kboot"
	} | sort -u | sed 's/^/directory /'
}

# Renamed into place: a program that runs is not written to, and half a file is never there.
place() {
	there=$dest$1
	word=installed
	[ "$(what_is "$there")" = none ] || word=replaced
	mkdir -p "${there%/*}"
	rm -f "$there.kboot-new"
	cp -pP "$stage$1" "$there.kboot-new"
	mv -f "$there.kboot-new" "$there"
	echo "$word $there"
}

# take PATH: away with it, if it is as this script put it there.
take() {
	# Of a run that was killed.
	rm -f "$dest$1.kboot-new"
	if is_ours "$1"; then
		rm -f "$dest$1"
		echo "removed $dest$1"
	elif [ "$(what_is "$dest$1")" != none ]; then
		say "kept $dest$1: it has changed since"
	fi
}

# Those of the paths in a file that Debian's packages have.
of_packages() {
	command -v dpkg-query >/dev/null || return 0
	xargs dpkg-query --admindir="$dest/var/lib/dpkg" -S <"$1" 2>/dev/null | sed -n 's|^[^/]*: /|/|p'
}

# let_go: away with what $work/old names, and with what enabled it.
let_go() {
	reload=no
	of_packages "$work/old" >"$work/packaged"
	while read -r path; do
		if [ -d "$dest$path" ] && [ ! -L "$dest$path" ]; then continue; fi
		if grep -qxF -e "$path" "$work/packaged"; then
			say "kept $dest$path: a Debian package has it"
			continue
		fi
		take "$path"
		[ "$(what_is "$dest$path")" != none ] || disable "$path"
	done <"$work/old"
	[ $reload = no ] || [ -n "$dest" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
}

# disable PATH: what made the host use a file that is gone would point to nothing.
disable() {
	name=${1##*/}
	case $1 in
	*/systemd/system/kboot-*) disable_unit "$1" ;;
	/etc/init.d/*)
		[ -n "$dest" ] || ! command -v update-rc.d >/dev/null || update-rc.d -f "$name" remove </dev/null || true
		for link in "$dest"/etc/rc?.d/[SK][0-9][0-9]"$name"; do
			[ ! -L "$link" ] || drop "$link"
		done
		;;
	/etc/init/kboot-docker.conf)
		override=$dest/etc/init/docker.override
		[ ! -e "$override" ] || say "upstart: rm $override lets docker start by itself again"
		;;
	*/initramfs-tools/hooks/kboot) in_image 'initramfs-tools: update-initramfs -u' ;;
	*/90kboot/module-setup.sh) in_image 'dracut: dracut --force' ;;
	esac
}

# docker, for one, does not start for want of a unit that it requires. One of that name that is left elsewhere,
# a package's, takes over: it is as enabled as before, and the package finds the links when it goes.
disable_unit() {
	reload=yes left=
	for dir in /lib /usr/lib /usr/local/lib /etc; do
		unit=$dir/systemd/system/$name
		if [ -f "$dest$unit" ] && [ ! -L "$dest$unit" ]; then left=$unit; fi
	done
	for link in "$dest"/etc/systemd/system/*.wants/"$name" "$dest"/etc/systemd/system/*.requires/"$name"; do
		case $(readlink "$link") in
		*"$1" | "${1#/usr}") ;;
		*) continue ;;
		esac
		if [ -n "$left" ]; then
			ln -sf "$left" "$link"
			echo "replaced $link"
		else
			drop "$link"
			rmdir "${link%/*}" 2>/dev/null || true
		fi
	done
}

drop() {
	rm -f "$1"
	echo "removed $1"
}

in_image() {
	[ ! -e "$dest/etc/kboot/boot" ] || say "$1 takes kboot out of the image"
}

# What an earlier run put there and no part of this one has any more.
take_old() {
	[ "$only" = all ] || return 0
	{ cat "$work/paths"; echo "${keep-}"; } >"$work/wanted"
	sed -n 's/^[^ ]* //p' "$work/before" | sort -u | grep -vxF -f "$work/wanted" >"$work/old" || true
	let_go
}

# What stays listed: what other parts put there, and a config that is not touched again.
others() {
	while read -r line; do
		path=${line#* }
		case $line in
		'directory '*) continue ;;
		esac
		[ "$only" != all ] || [ "$path" = "${keep-}" ] || continue
		grep -qxF -e "$path" "$work/paths" || echo "$line"
	done <"$work/before"
}

