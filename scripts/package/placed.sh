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

# What an earlier run put there and no part of this one has any more.
take_old() {
	[ "$only" = all ] || return 0
	sed -n 's/^[^ ]* //p' "$work/before" | sort -u >"$work/old"
	while read -r path; do
		if [ "$path" != "${keep-}" ] && [ ! -d "$dest$path" ] && ! grep -qxF -e "$path" "$work/paths"; then take "$path"; fi
	done <"$work/old"
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

