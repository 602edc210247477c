# shellcheck shell=sh disable=SC2154 # $tmp, $mode and their like are demo-host.sh's
# What demo-host.sh is made of: how it prints and waits, the bare host, and the programs that a node has
# beside kboot.

bold='' dim='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
	bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m')
fi

ms() { date +%s%3N; }
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
fact() { printf '  %-15s%s\n' "$1" "$2"; }
# facts LABEL: what comes in on stdin, the label once in front.
facts() {
	label=$1
	grep . | fold -s -w 122 | while IFS= read -r line; do
		fact "$label" "$line"
		label=
	done
}

# did MS MARK WORDS...: one line of the log. $ is a command as typed, * what the demo does around it.
did() {
	took=$1 mark=$2
	shift 2
	printf '%6d  %s %s%s%s\n' "$took" "$mark" "$bold" "$(echo "$*" | fold -s -w 115 | sed '2,$s/^/            /')" "$plain"
}

# said FILE...: what a command printed, without kboot's name in front, a line cut to a screen's width.
said() {
	sed -e 's/^kboot [a-z-]*: //' -e 's/^\(.\{105\}\).\{4,\}$/\1 .../' -e "s/.*/          $dim&$plain/" "$@"
}

die() {
	printf 'demo: %s\n' "$*" >&2
	exit 1
}

# broke LOG WORDS...: the end of that log, then the one line.
broke() {
	tail -n 5 "$1" >&2
	shift
	die "$@"
}

# waited SECONDS COMMAND...: true as soon as the command is, false at the deadline.
waited() {
	until_ms=$(($(ms) + $1 * 1000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(ms)" -lt "$until_ms" ] || return 1
		sleep 0.02
	done
}

# Whatever would be written goes to tmpfs, the rest of the disk is read-only; the repository comes to
# /mnt first, wherever it lies. What the kubelet and dockerd set for the whole machine goes to files that
# lie over those of /proc/sys.
make_host() {
	mount -t proc proc /proc
	mount --bind "$root" /mnt
	mount -o remount,bind,ro /mnt
	mount -t tmpfs -o mode=755 demo /run
	mkdir "$tmp" /run/etc
	cp -a /etc/. /run/etc/
	for dir in /var /tmp /usr/local/bin; do mount -t tmpfs demo "$dir"; done
	mount --bind /run/etc /etc
	mount -o remount,bind,ro /
	mkdir -p /var/lib /var/log /etc/kubernetes/manifests
	ln -s /run /var/run
	for key in vm/overcommit_memory kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
		[ -e "/proc/sys/$key" ] || continue
		mkdir -p "/run/sys/${key%/*}"
		cat "/proc/sys/$key" >"/run/sys/$key"
		mount --bind "/run/sys/$key" "/proc/sys/$key"
	done
	hostname kboot-demo
	# A new network namespace inherits ip_forward. Nobody answers beyond eth0: say so at once to those
	# who ask for a name or a cloud's metadata.
	echo 0 >/proc/sys/net/ipv4/ip_forward
	: >/etc/resolv.conf
	ip link set lo up
	ip link add eth0 type veth peer name wire0
	ip addr add "$address/24" dev eth0
	ip link set eth0 up
	ip link set wire0 up
	ip route add unreachable 169.254.0.0/16
}

start_etcd() {
	etcd --enable-v2 --data-dir=/var/lib/etcd --listen-client-urls="$etcd" --advertise-client-urls="$etcd" \
		--listen-peer-urls=http://127.0.0.1:0 >etcd.log 2>&1 &
	did 0 '*' "etcd --enable-v2 --listen-client-urls=$etcd ... &"
}

# The API server's self-made certificate is its own authority; the key of it signs service accounts too.
start_api() {
	pki=/etc/kubernetes/pki
	token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	(
		umask 077
		mkdir "$pki"
		printf '%s,admin,admin,system:masters\n' "$token" >"$pki/tokens.csv"
		cat >"$kubeconfig" <<-K
			apiVersion: v1
			kind: Config
			clusters: [{name: demo, cluster: {server: "$server", certificate-authority: $pki/apiserver.crt}}]
			users: [{name: demo, user: {token: $token}}]
			contexts: [{name: demo, context: {cluster: demo, user: demo}}]
			current-context: demo
		K
	)
	began=$(ms)
	kube-apiserver --etcd-servers="$etcd" --cert-dir="$pki" --secure-port=6443 --advertise-address="$address" \
		--token-auth-file="$pki/tokens.csv" --service-cluster-ip-range="$service_cidr" \
		--service-account-issuer="$server" --service-account-key-file="$pki/apiserver.key" \
		--service-account-signing-key-file="$pki/apiserver.key" >api.log 2>&1 &
	# The kubeconfig names the certificate: its readers need it, long before the server answers.
	waited 10 test -s "$pki/apiserver.crt" || broke api.log "kube-apiserver made no certificate in 10 s"
	did $(($(ms) - began)) '*' "kube-apiserver --etcd-servers=$etcd --secure-port=6443 ... &"
}

start_stand_in_api() {
	began=$(ms)
	/mnt/target/debug/examples/standin-api 8080 >api.log 2>&1 &
	waited 10 grep -q listening api.log || broke api.log "standin-api does not listen after 10 s"
	did $(($(ms) - began)) '*' "standin-api 8080 &     (stand-in for the API server)"
}

# In flanneld's place, and as flanneld does it: the whole file by a rename.
play_flanneld() {
	{
		sleep 0.5
		mkdir -p "${lease%/*}"
		printf 'FLANNEL_%s\n' NETWORK=10.10.0.0/16 SUBNET=10.10.48.1/24 MTU=1472 IPMASQ=false >"$lease.tmp"
		mv "$lease.tmp" "$lease"
	} &
	did 0 '*' "sleep 0.5; write $lease &     (stand-in for flanneld)"
}

# start_dockerd: false where the real dockerd does not run, and says so.
start_dockerd() {
	began=$(ms)
	# shellcheck disable=SC2046 # one word a flag
	dockerd $(docker-flags --bridge cbr0) >dockerd.log 2>&1 &
	if waited 10 curl -sf --unix-socket /run/docker.sock http://docker/_ping; then
		# shellcheck disable=SC2016 # as typed
		did $(($(ms) - began)) '*' 'dockerd $(docker-flags --bridge cbr0) &     (until it answers)'
	else
		did $(($(ms) - began)) '*' "NO DOCKERD: it does not run on this machine, so the kubelet is not run; its log ends:"
		tail -n 3 dockerd.log >err
		said err
		return 1
	fi
}

kubectl() { KUBECONFIG=$kubeconfig command kubectl "$@"; }
became_kubelet() { [ "$(cat "/proc/$kubelet/comm")" = kubelet ]; }
kubelet_line() { xargs -0 <"/proc/$kubelet/cmdline"; }

# What follows -- suits a throw-away host: no cgroups of its own, swap or not, word of it every second.
launch_kubelet() {
	began=$(ms)
	"$@" >kubelet.log 2>&1 &
	kubelet=$!
	waited 20 became_kubelet || broke kubelet.log "kubelet-launch is not the kubelet after 20 s"
	kubelet_line >kubelet-launch
	did $(($(ms) - began)) '$' "$* &     (until exec)"
	sed -n '/^kboot/p' kubelet.log >err
	said err
}

# Ready is what the kubelet adds to the Node that kboot made.
await_ready() {
	began=$(ms)
	set -- kubectl wait --for=condition=Ready --timeout=10s node/10.10.48.1
	if "$@" >out 2>&1; then
		did $(($(ms) - began)) '*' "$*"
	else
		did $(($(ms) - began)) '*' "NOT READY: the real kubelet does not come so far on this machine; it says:"
		grep '^[EF][0-9]' kubelet.log | tail -n 3 >err
		said err
	fi
}
