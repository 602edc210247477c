//! docker's rules about its default bridge, as they were from docker 1.0 to 29. Read in moby's
//! daemon/networkdriver/bridge/driver.go and pkg/iptables (1.0 to 1.6), in libnetwork's
//! drivers/bridge/setup_ip_tables.go and iptables/iptables.go (1.7 to 28.1), and in moby's
//! daemon/libnetwork/drivers/bridge/internal/iptabler (28.2 on) with its golden files.

/// The chain FORWARD as 28.0.0 alone had it: anyone may write `-i docker0 -j ACCEPT`; docker did where
/// its ipset stands beside it.
pub(super) const FORWARD_28_0_0: &str = "FORWARD@28.0.0";

/// Table, chains, rule without its `-m`. Capitals: `NET` docker0's subnet, `IP` one address, `OWN` one in
/// docker0's subnet (with a port, maybe), `PROTO`, `PORT`, `ESTABLISHED` (in either order), `ANY`; `?` before
/// a term that may be missing. The jumps into docker's chains that name no bridge are for all of its
/// networks and are not here; nor is DOCKER-USER, which is the administrator's.
#[rustfmt::skip]
pub(super) const SHAPES: [(&str, &str, &str); 26] = [
    // For each published port: 28.0 and 28.1 (moby#49325).
    ("raw", "PREROUTING", "-d IP ! -i docker0 -p PROTO --dport PORT -j DROP"),
    // For each container: since 28.2 (moby#49829).
    ("raw", "PREROUTING", "-d IP ! -i docker0 -j DROP"),
    // For the network: after 29.3 (moby#52224).
    ("raw", "PREROUTING", "-d NET ! -i docker0 -j DROP"),
    ("raw", "PREROUTING", "-d NET -i lo -j ACCEPT"),

    // Every version, unless --ip-masq=false.
    ("nat", "POSTROUTING", "-s NET ! -o docker0 -j MASQUERADE"),
    // With --userland-proxy=false, which came with 1.7.
    ("nat", "POSTROUTING", "-o docker0 --src-type LOCAL -j MASQUERADE"),
    // A published port that its own container asks for: up to 27 always, then as the one before.
    ("nat", "POSTROUTING", "-s OWN -d OWN -p PROTO --dport PORT -j MASQUERADE"),
    // From about 1.10 to 28.
    ("nat", "DOCKER", "-i docker0 -j RETURN"),
    // A published port, every version; the second with --userland-proxy=false, fe80::/10 with IPv6.
    ("nat", "DOCKER", "? -d IP ? ! -s fe80::/10 ! -i docker0 -p PROTO --dport PORT -j DNAT --to-destination ANY"),
    ("nat", "DOCKER", "? -d IP ? ! -s fe80::/10 -p PROTO --dport PORT -j DNAT --to-destination OWN"),

    // In FORWARD up to 28.0.0; in DOCKER-FORWARD, DOCKER-CT and DOCKER-BRIDGE since 28.0.1 (moby#49518).
    ("filter", "FORWARD DOCKER-FORWARD", "-i docker0 ! -o docker0 -j ACCEPT"),
    ("filter", "FORWARD DOCKER-FORWARD", "-i docker0 -o docker0 -j ACCEPT"),
    ("filter", "FORWARD DOCKER-FORWARD", "-i docker0 -o docker0 -j DROP"),
    ("filter", "FORWARD@28.0.0 DOCKER-FORWARD", "-i docker0 -j ACCEPT"),
    ("filter", "FORWARD DOCKER-CT", "-o docker0 --ctstate ESTABLISHED -j ACCEPT"),
    ("filter", "FORWARD DOCKER-BRIDGE", "-o docker0 -j DOCKER"),
    // A published port; a link, both ways. In FORWARD until docker had DOCKER in this table too (1.4).
    ("filter", "FORWARD DOCKER", "-d IP ! -i docker0 -o docker0 -p PROTO --dport PORT -j ACCEPT"),
    ("filter", "FORWARD DOCKER", "-s IP -d IP -i docker0 -o docker0 -p PROTO --dport PORT -j ACCEPT"),
    ("filter", "FORWARD DOCKER", "-s IP -d IP -i docker0 -o docker0 -p PROTO --sport PORT -j ACCEPT"),
    // With --icc=false, in 29's golden files; the second is IPv6's neighbour discovery.
    ("filter", "DOCKER", "-d IP -i docker0 -o docker0 -p PROTO --dport PORT ! --ctorigdst IP -j ACCEPT"),
    ("filter", "DOCKER", "-i docker0 -o docker0 -p ipv6-icmp --icmpv6-type PORT -j ACCEPT"),
    // Since 28.0 (moby#48724).
    ("filter", "DOCKER", "! -i docker0 -o docker0 -j DROP"),
    // Between networks: 1.10 to 17.12 a rule for each pair; then, up to 28.1, two stages.
    ("filter", "DOCKER-ISOLATION", "-i docker0 -o ANY -j DROP"),
    ("filter", "DOCKER-ISOLATION", "-i ANY -o docker0 -j DROP"),
    ("filter", "DOCKER-ISOLATION-STAGE-1", "-i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2"),
    ("filter", "DOCKER-ISOLATION-STAGE-2", "-o docker0 -j DROP"),
];
