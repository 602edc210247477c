#!/bin/sh
# The inside of scripts/demo: the first process of a host in net, mount, uts, ipc and pid namespaces of
# its own. What it starts ends with it.
#
#   demo-host.sh ROOT real|stand-in
set -eu
root=$1
mode=$2
address=10.99.0.2
etcd=http://$address:4001
server=https://$address:6443
service_cidr=10.10.1.0/24
lease=/run/flannel/subnet.env
kubeconfig=/etc/kubernetes/kubelet.conf
tmp=/run/demo
ready='.status.conditions[?(@.type=="Ready")].status'
# shellcheck source-path=SCRIPTDIR source=demo-parts.sh
. "$root/tests/support/demo-parts.sh"

# step COMMAND...: runs it; prints its time, the line as typed, what it said. Stdout stays in the file out.
step() {
	began=$(ms)
	rc=0
	"$@" >out 2>err || rc=$?
	did $(($(ms) - began)) '$' "$*"
	said err out
	[ "$rc" = 0 ] || die "exit $rc: $*"
}

# again NAME COMMAND...: the same once more. It has to say that it changed nothing, or, where it prints
# something, print what is in the file NAME.
again() {
	name=$1
	shift
	began=$(ms)
	"$@" >out 2>err || { said err && die "second run: exit $?: $*"; }
	took=$(($(ms) - began))
	if [ -e "$name" ]; then
		cmp -s "$name" out || die "second run: $name prints something else: $(diff "$name" out | sed -n 's/^> //p' | head -n 1)"
		verdict=$([ "$name" = kubelet-launch ] && echo "the same command line (dry run)" || echo "the same output")
	else
		verdict=$(sed -n 's/.*(\(0 changed, .*\))$/\1/p' err)
		[ -n "$verdict" ] || die "second run: $name changed something: $(tail -n 1 err)"
	fi
	printf '%6d  %-15s %s\n' "$took" "$name" "$verdict"
}

# What kernel, etcd and API server hold, read with tools that are not kboot's.
read_back() {
	config=/coreos.com/network/config
	{
		ip -o -4 addr show cbr0 | awk '{print $2, $3, $4}'
		ip -j link show cbr0 | jq -r '.[] | "\(.ifname) mtu \(.mtu), \(.flags | join(" "))"'
	} | facts ip
	facts sysctl <<-S
		net.ipv4.ip_forward = $(cat /proc/sys/net/ipv4/ip_forward)
	S
	iptables-save -t nat | grep -e '-A .*KBOOT' | facts iptables-save
	{ echo "$config" && ETCDCTL_API=2 etcdctl --endpoints "$etcd" get "$config"; } | sed 's/,"Backend/,\n "Backend/' | facts 'etcdctl (v2)'
	ETCDCTL_API=3 etcdctl --endpoints "$etcd" get "$config" | sed 's/,"Backend/,\n "Backend/' | facts 'etcdctl (v3)'
	facts "$([ "$ran" = yes ] && echo /proc/PID || echo '(not started)')" <kubelet-launch
	if [ "$mode" = real ]; then
		kubectl get --raw /api/v1/nodes >nodes
		kubectl get nodes -o "custom-columns=NAME:.metadata.name,PODCIDR:.spec.podCIDR,READY:$ready,\
KUBELET:.status.nodeInfo.kubeletVersion,RUNTIME:.status.nodeInfo.containerRuntimeVersion" | facts kubectl
	else
		curl -sf http://127.0.0.1:8080/api/v1/nodes >nodes
		jq -c '.items[] | {kind, name: .metadata.name, spec}' nodes | facts 'curl, jq'
	fi
	[ "$(jq -r '.items[] | "\(.metadata.name) \(.spec.podCIDR)"' nodes)" = "10.10.48.1 10.10.48.0/24" ] ||
		die "the API server does not hold the one Node 10.10.48.1 with podCIDR 10.10.48.0/24"
}

began=$(ms)
make_host
cd "$tmp"
cat >flannel.json <<'J'
{"Network":"10.10.0.0/16","SubnetLen":24,"SubnetMin":"10.10.10.0","SubnetMax":"10.10.255.0","Backend":{"Type":"udp","Port":7890}}
J
cp /mnt/target/kboot /usr/local/bin/
kboot --install -s /usr/local/bin >out 2>err || broke err "kboot --install failed"
took=$(($(ms) - began))

title "kboot: a host from nothing to a registered node"
versions="etcd $(etcd --version | sed -n 's/^etcd Version: //p'), $(iptables --version), Linux $(uname -r)"
if [ "$mode" = real ]; then
	for name in kube-apiserver kubelet kubectl; do ln -s "/mnt/target/peers/$name" /usr/local/bin/; done
	docker=$(dockerd --version | sed 's/^Docker version \([0-9.]*\).*/\1/')
	fact real "$(kube-apiserver --version | sed 's/Kubernetes/kube-apiserver and kubelet/'), dockerd $docker,"
	fact '' "$versions"
	fact 'API server' "$server with CA and token, from $kubeconfig"
else
	fact real "$versions"
	fact stand-in "API server: standin-api, Nodes in memory; plain HTTP on 127.0.0.1:8080, as in 2015"
	fact stand-in "kubelet: none is run; kubelet-launch prints what it would run if it were a 1.1"
	fact '' "(for the real ones: scripts/peers kube-apiserver kubelet; 4 minutes, once)"
fi
fact stand-in "flanneld: the demo writes its $lease half a second late"
fact host "$address on eth0; namespaces of its own, tmpfs over all that is written"

title "    ms  the boot"
did "$took" '*' "namespaces, eth0, tmpfs; cp kboot /usr/local/bin; kboot --install -s /usr/local/bin"
start_etcd
if [ "$mode" = real ]; then start_api; else start_stand_in_api; fi
etcd_config="etcd-config --endpoints $etcd --file flannel.json --service-cidr $service_cidr"
# shellcheck disable=SC2086 # words
step $etcd_config
play_flanneld
step flannel-env
cp out flannel-env
FLANNEL_SUBNET=$(flannel-env --get FLANNEL_SUBNET)
bridge="bridge --masquerade 10.10.0.0/16 --out-interface eth0"
# shellcheck disable=SC2086
step $bridge
step docker-flags --bridge cbr0
cp out docker-flags
ran=no
extra="--fail-swap-on=false --cgroups-per-qos=false --enforce-node-allocatable= --node-status-update-frequency=1s"
if [ "$mode" = real ] && start_dockerd; then
	ran=yes
	# shellcheck disable=SC2086
	launch_kubelet kubelet-launch -- $extra
	kubelet_launch="kubelet-launch --dry-run -- $extra"
else
	kubelet_launch="kubelet-launch --dry-run"
	[ "$mode" = real ] || kubelet_launch="$kubelet_launch --kubelet-version 1.1"
	# shellcheck disable=SC2086
	step $kubelet_launch
	cp out kubelet-launch
fi
step register --subnet "$FLANNEL_SUBNET"
[ "$ran" = no ] || await_ready

title "        what is there now, as others read it"
read_back

title "    ms  everything once more"
# shellcheck disable=SC2086
again etcd-config $etcd_config
again flannel-env flannel-env
# shellcheck disable=SC2086
again bridge $bridge
again docker-flags docker-flags --bridge cbr0
# shellcheck disable=SC2086
again kubelet-launch $kubelet_launch
again register register --subnet "$FLANNEL_SUBNET"
