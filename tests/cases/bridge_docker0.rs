//! bridge --replace-docker0 and a real dockerd: docker0 goes with docker's own rules about it, and all
//! else stays, word for word. The containers are real; each test sees to it that none is left.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::cgroup::{CGROUPFS, Cgroup};
use crate::support::docker::{self, Dockerd};
use crate::support::host::Host;
use crate::support::{Done, finish, need, until};

const VARIANTS: [&str; 2] = ["nft", "legacy"];
const ARGS: &str = "bridge --name br-pods --subnet 10.99.0.1/24 --masquerade 10.99.0.0/16 --replace-docker0";
/// What an administrator may have, in all tables.
const FOREIGN: &str = "iptables -A INPUT -i docker0 -p udp --dport 53 -j ACCEPT; \
    iptables -I FORWARD -i docker0 -s 10.0.0.0/8 -m comment --comment 'keep \"docker0\" out' -j DROP; \
    iptables -I DOCKER-USER -i docker0 -o docker0 -j DROP; \
    iptables -t nat -I POSTROUTING -s 192.0.2.0/24 ! -o docker0 -j MASQUERADE; \
    iptables -t nat -I DOCKER -p tcp --dport 81 -j DNAT --to-destination 192.0.2.2:81; \
    iptables -t mangle -A FORWARD -o docker0 -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu; \
    iptables -t raw -A PREROUTING -d 192.0.2.9 ! -i lo -j DROP; \
    ip6tables -A INPUT -i docker0 -j DROP";
/// How many of those name docker0.
const FOREIGN_NAMES: usize = 6;

/// A host whose iptables is of one variant, by Debian's alternatives in its copy of /etc.
fn host(variant: &str) -> Option<Host> {
    let host = docker::host(false)?;
    need("busybox", "docker")?;
    for (start, end) in [("iptables", ""), ("ip6tables", ""), ("iptables", "-save"), ("ip6tables", "-save")] {
        let real = need(&format!("{start}-{variant}{end}"), "iptables")?;
        host.sh(&format!("ln -sf {} /etc/alternatives/{start}{end}", real.display()));
    }
    Some(host)
}

fn kboot(host: &Host, more: &str) -> Done {
    let args: Vec<&str> = ARGS.split(' ').chain(more.split_whitespace()).collect();
    host.kboot(&args)
}

/// Every rule and chain of both families, without counters.
fn rules(host: &Host) -> Vec<String> {
    let mut all = Vec::new();
    for save in ["iptables-save", "ip6tables-save"] {
        for table in ["raw", "mangle", "nat", "filter"] {
            let text = host.sh(&format!("{save} -t {table}"));
            for line in text.lines().filter(|l| !l.starts_with('#') && *l != "COMMIT") {
                // A chain's counters: `:FORWARD DROP [0:0]`.
                let line = if line.starts_with(':') { line.split(" [").next().unwrap() } else { line };
                all.push(format!("{save} {table} {line}"));
            }
        }
    }
    all
}

fn has_docker0(host: &Host) -> bool {
    finish(&mut host.command("ip", &["link", "show", "docker0"])).code == 0
}

/// A container that runs until its value ends, over docker's API.
struct Container<'h>(&'h Host, &'static str);

fn api(host: &Host, path: &str, more: &[&str]) -> Done {
    let url = format!("http://docker{path}");
    let args = [&["-sSf", "-X", "POST", "--unix-socket", "/var/run/docker.sock", &url], more].concat();
    finish(&mut host.command("curl", &args))
}

impl<'h> Container<'h> {
    /// On a network, with two ports published.
    fn run(host: &'h Host, cgroup: &Cgroup, name: &'static str, network: &str) -> Self {
        host.sh(
            "mkdir -p /run/image/bin && cp /usr/bin/busybox /run/image/bin/ && tar -C /run/image -cf /run/image.tar bin",
        );
        let image = api(
            host,
            "/images/create?fromSrc=-&repo=box",
            &["-H", "content-type: application/x-tar", "--data-binary", "@/run/image.tar"],
        );
        assert_eq!(image.code, 0, "{image:?}");
        let config = json!({
            "Image": "box", "Cmd": ["/bin/busybox", "sleep", "100"], "StopSignal": "SIGKILL",
            "ExposedPorts": { "80/tcp": {}, "53/udp": {} },
            "HostConfig": {
                "NetworkMode": network, "CgroupParent": format!("/{}", cgroup.name),
                "PortBindings": { "80/tcp": [{}], "53/udp": [{ "HostIp": "127.0.0.1" }] },
            },
        });
        let header = ["-H", "content-type: application/json", "-d", &config.to_string()];
        let made = api(host, &format!("/containers/create?name={name}"), &header);
        assert_eq!(made.code, 0, "{made:?}");
        let container = Self(host, name);
        let started = api(host, &format!("/containers/{name}/start"), &[]);
        assert_eq!(started.code, 0, "{started:?}");
        container
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = api(self.0, &format!("/containers/{}?force=true", self.1), &["-X", "DELETE"]);
    }
}

fn other_network(host: &Host) {
    let config = json!({
        "Name": "other", "Driver": "bridge", "IPAM": { "Config": [{ "Subnet": "172.20.7.0/24" }] },
        "Options": { "com.docker.network.bridge.name": "br-other" },
    });
    let done =
        api(host, "/networks/create", &["-H", "content-type: application/json", "-d", &config.to_string()]);
    assert_eq!(done.code, 0, "{done:?}");
}

#[test]
fn dockers_own_rules_go_and_every_other_stays() {
    for (variant, words) in VARIANTS.into_iter().zip([
        "",
        "--userland-proxy=false --icc=false --bip 172.30.0.1/24 --ipv6 --fixed-cidr-v6 fd00:9::/64 --ip6tables --experimental",
    ]) {
        let Some(host) = host(variant) else { return };
        let cgroup = Cgroup::new();
        let dockerd = Dockerd::start(&host, &words.split_whitespace().chain([CGROUPFS]).collect::<Vec<_>>());
        other_network(&host);
        host.sh(FOREIGN);
        let own = Container::run(&host, &cgroup, "web", "bridge");
        let foreign = Container::run(&host, &cgroup, "db", "other");
        let with_containers = rules(&host);
        drop((own, foreign));
        drop(dockerd);
        // Rules of containers that a killed dockerd left behind.
        host.sh(&as_left_behind(&with_containers, &rules(&host)));
        let before = rules(&host);
        let sorted = |rules: &[String]| rules.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(sorted(&before), sorted(&with_containers), "{variant}");

        let done = kboot(&host, "--firewall none");
        assert_eq!(done.code, 0, "{variant}: {done:?}");
        assert!(!has_docker0(&host));
        assert!(host.sh("ip link show br-other").contains("br-other"));
        let after = rules(&host);
        let gone: Vec<&String> = before.iter().filter(|r| !after.contains(r)).collect();
        let others: Vec<&String> = before.iter().filter(|r| after.contains(r)).collect();
        assert_eq!(others, after.iter().collect::<Vec<_>>(), "{variant}: nothing came, and the order is the same");
        assert!(gone.len() > 10, "{variant}: {gone:#?}");
        let named: Vec<&String> = after.iter().filter(|r| r.contains(" docker0 ")).collect();
        assert_eq!(named.len(), FOREIGN_NAMES, "{variant}: {named:#?}");
        assert_eq!(done.stderr.matches("names docker0").count(), FOREIGN_NAMES, "{done:?}");
        let subnet = if words.is_empty() { "172.17.0." } else { "172.30.0." };
        assert!(!after.iter().any(|r| r.contains(subnet) || r.contains("fd00:9:")), "{variant}: {after:#?}");
        assert_eq!(kboot(&host, "--firewall none").code, 0);
        assert_eq!(rules(&host), after, "{variant}: a second run changes nothing");
    }
}

/// The shell line that puts back the rules that dockerd took away with its containers, at the chains' ends.
fn as_left_behind(full: &[String], less: &[String]) -> String {
    let gone = full.iter().filter(|r| !less.contains(r) && r.contains(" -A "));
    let lines = gone.map(|r| {
        let [save, table, rule] = r.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{r}") };
        format!("{} -t {table} {rule};", save.strip_suffix("-save").unwrap())
    });
    lines.chain(["true".to_owned()]).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_dockerd_that_runs_and_containers_hold_it() {
    let Some(host) = host("nft") else { return };
    let cgroup = Cgroup::new();
    let dockerd = Dockerd::start(&host, &[CGROUPFS]);
    let state = |host: &Host| {
        let files = host.sh("find /run/kboot -type f ! -path '*/timeline/*' 2>/dev/null || true");
        (rules(host), host.ip("-d link")[1]["ifname"].clone(), files)
    };
    let before = state(&host);
    let pid = dockerd.pid();
    let stop = "stop it (systemctl stop docker docker.socket; service docker stop) or give --force";
    let done = kboot(&host, "");
    assert_eq!(
        done.error(),
        (3, format!("kboot bridge: dockerd (pid {pid}) runs on docker0: {stop}").as_str())
    );
    assert_eq!(state(&host), before);

    let (web, other) =
        (Container::run(&host, &cgroup, "web", "bridge"), Container::run(&host, &cgroup, "aside", "host"));
    let with = rules(&host);
    let done = kboot(&host, "--force");
    let text = "kboot bridge: docker0 has containers on it: web: stop them first (docker stop web)";
    assert_eq!(done.error(), (3, text));
    assert_eq!(rules(&host), with);
    drop(web);
    let done = kboot(&host, "--force");
    assert_eq!((done.code, has_docker0(&host)), (0, false), "{done:?}");
    drop(other);
    assert!(dockerd.answers());
}

#[test]
fn a_dockerd_on_another_bridge_is_no_obstacle() {
    for words in ["--bridge br-own --iptables=false --ip-masq=false", "--bridge none"] {
        let Some(host) = host("nft") else { return };
        host.sh("ip link add br-own type bridge && ip addr add 10.99.7.1/24 dev br-own && ip link add docker0 type bridge");
        let cgroup = Cgroup::new();
        let dockerd = Dockerd::start(&host, &words.split_whitespace().chain([CGROUPFS]).collect::<Vec<_>>());
        let web = words.contains("br-own").then(|| Container::run(&host, &cgroup, "web", "bridge"));
        let done = kboot(&host, "");
        assert_eq!((done.code, has_docker0(&host)), (0, false), "{words}: {done:?}");
        drop(web);
        drop(dockerd);
    }
}

/// A container that outlives a killed dockerd: its veth is on docker0, its name nobody knows.
#[test]
fn what_hangs_on_it_without_a_dockerd_holds_it() {
    let Some(host) = host("nft") else { return };
    host.sh("ip link add docker0 type bridge && ip link add veth77 type veth peer name inside && ip link set veth77 master docker0");
    let text = "kboot bridge: docker0 has links on it: veth77: end the containers they belong to, or take them off (ip link set veth77 nomaster)";
    for more in ["", "--force", "--dry-run"] {
        assert_eq!(kboot(&host, more).error(), (3, text));
    }
    host.sh("ip link del docker0 && ip link add docker0 type veth peer name other");
    let text =
        "kboot bridge: docker0 is a veth device, not a bridge: not docker's: leave --replace-docker0 out";
    assert_eq!(kboot(&host, "--force").error(), (3, text));
    assert!(has_docker0(&host));
}

/// A stand-in that has dockerd's name and never answers.
#[test]
fn a_silent_dockerd_is_taken_for_one_on_docker0() {
    let Some(host) = host("nft") else { return };
    let mut silent = host.command("bash", &["-c", "exec -a dockerd sleep 100"]).spawn().unwrap();
    let pid = silent.id();
    // nsenter, bash, sleep: one process with three names.
    until("it is called dockerd", || {
        std::fs::read(format!("/proc/{pid}/cmdline")).unwrap().starts_with(b"dockerd")
    });
    let done = kboot(&host, "");
    let text = format!("kboot bridge: dockerd (pid {pid}) runs, on which bridge is not known: ");
    assert!(done.code == 3 && done.stderr.starts_with(&text), "{done:?}");
    assert_eq!(kboot(&host, "--force").code, 0);
    silent.kill().unwrap();
    silent.wait().unwrap();
    assert_eq!(kboot(&host, "").code, 0);
}

/// A stand-in that runs the real iptables and kills kboot after the Nth deletion.
#[test]
fn killed_between_any_two_deletions_a_rerun_ends_it() {
    let Some(first) = host("nft") else { return };
    drop(Dockerd::start::<&str>(&first, &[]));
    first.sh("iptables -t nat -A POSTROUTING -s 172.17.0.2 -d 172.17.0.2 -p tcp --dport 80 -j MASQUERADE");
    let saved = first.sh("iptables-save");
    let is_docker0s = |r: &String| r.contains(" docker0 ") || r.contains(" 172.17.0.");
    let others: Vec<String> = rules(&first).into_iter().filter(|r| !is_docker0s(r)).collect();
    let mut number = 0;
    loop {
        number += 1;
        let host = Host::new();
        host.sh(&format!("ip link add docker0 type bridge && ip addr add 172.17.0.1/16 dev docker0 && iptables-restore <<'END'\n{saved}END"));
        let script = "/usr/sbin/iptables \"$@\"\ns=$?\ncase \"$*\" in *' -D '*) echo >>/run/calls; [ $(wc -l </run/calls) = NUMBER ] && kill -9 $PPID;; esac\nexit $s";
        docker::script(&host, "/run/bin/iptables", &script.replace("NUMBER", &number.to_string()));
        let args: Vec<&str> = ARGS.split(' ').chain(["--firewall", "none"]).collect();
        let dead = host.kboot_with_path("/run/bin:/usr/sbin:/usr/bin:/sbin:/bin", &args);
        assert!(dead.code == 128 + 9 || dead.code == 0, "{dead:?}");
        assert!(!has_docker0(&host), "the link goes first");
        let done = kboot(&host, "--firewall none");
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(rules(&host), others, "killed after {number}");
        if dead.code == 0 {
            break;
        }
    }
    assert_eq!(number, 10, "one more than docker 20.10 has rules");
}
