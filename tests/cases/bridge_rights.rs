//! bridge with few rights, and on kernels and in containers that lack something.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;

use crate::support::host::Host;
use crate::support::{Done, binary, finish, need, root_user};

fn host() -> Option<Host> {
    (root_user() && need("ip", "tools").is_some() && need("nft", "nft").is_some()).then(Host::new)
}

/// Both families, masqueraded.
const ARGS: [&str; 10] = [
    "bridge",
    "--name",
    "pods0",
    "--subnet",
    "172.20.7.1/24",
    "--subnet",
    "fd00:20:7::1/64",
    "--masquerade",
    "172.20.0.0/16",
    "--masquerade=fd00:20::/32",
];
const SYSTEM: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// kboot by way of another program, such as setpriv.
fn by(host: &Host, program: &str, before: &[&str], args: &[&str]) -> Done {
    finish(host.command(program, before).arg(binary()).args(args))
}

fn with(more: &[&'static str]) -> Vec<&'static str> {
    [&ARGS[..], more].concat()
}

fn unchanged(done: &Done) -> bool {
    done.code == 0 && done.stderr.contains("up (0 changed, ")
}

/// Root of a user namespace, with CAP_NET_ADMIN and nothing else, as in a rootless container.
#[test]
fn net_admin_of_a_user_namespace_is_enough_for_nft() {
    let Some(_) = host() else { return };
    let script = format!(
        "set -e; mount -t tmpfs tmpfs /run; ip link set lo up
        kboot() {{ setpriv --bounding-set=-all,+net_admin --inh-caps=-all {} \"$@\" 2>>/run/log; }}
        echo 0 >/proc/sys/net/ipv4/ip_forward
        kboot {args} --firewall nft
        nft list ruleset | grep -c 'masquerade fully-random comment \"kboot-pods0\"'
        kboot {args} --firewall nft --check && echo as wanted
        nft delete rule ip6 kboot postrouting-pods0 handle $(nft -a list table ip6 kboot | sed -n 's/.*masq.*handle //p')
        kboot {args} --firewall nft --check || echo differs $?
        kboot {args} --firewall nft && kboot {args} && tail -n 1 /run/log
        kboot {args} --down --restore
        nft list ruleset; ip -br link; cat /proc/sys/net/ipv4/ip_forward",
        binary().display(),
        args = ARGS.join(" ")
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--mount", "--propagation", "private", "sh", "-c"]);
    let done = finish(command.arg(script).env_clear().env("PATH", SYSTEM));
    let said: Vec<&str> = done.ok().lines().collect();
    assert_eq!(said[..2], ["2", "as wanted"], "{done:?}");
    let missing = "ip6 kboot postrouting-pods0: a rule is missing: ip6 saddr fd00:20:7::/64 ";
    assert!(said[2].starts_with(missing), "{done:?}");
    assert_eq!(said[3], "differs 3", "{done:?}");
    assert!(said[4].contains("up (0 changed, "), "{done:?}");
    assert!(said[5].starts_with("lo ") && said[6] == "0" && said.len() == 7, "{done:?}");
}

/// A user of its own, as systemd's `User=` and `AmbientCapabilities=` make one; /run is root's.
#[test]
fn a_user_with_net_admin_alone_does_it() {
    let Some(host) = host() else { return };
    host.sh(&format!("chmod 755 /run && cp {} /run/kb && chmod 755 /run/kb", binary().display()));
    let caps = [
        "--reuid=4711",
        "--regid=4711",
        "--clear-groups",
        "--bounding-set=-all,+net_admin",
        "--inh-caps=-all,+net_admin",
        "--ambient-caps=-all,+net_admin",
        "--",
        "/run/kb",
    ];
    let user = |args: &[&str]| finish(host.command("setpriv", &caps).args(args));
    for firewall in ["nft", "auto"] {
        let args = with(&["--firewall", firewall]);
        let done = user(&args);
        assert_eq!(done.code, 0, "{done:?}");
        assert!(unchanged(&user(&args)));
        assert_eq!(user(&[&args[..], &["--check"]].concat()).code, 0);
        let down = user(&[&ARGS[..], &["--down"]].concat());
        assert_eq!((down.code, host.ip("link").as_array().unwrap().len()), (0, 1), "{down:?}");
        assert!(!host.sh("nft list ruleset").contains("kboot-"), "{down:?}");
    }
}

/// No record could be kept: what is not in the lease may be an administrator's.
#[test]
fn without_a_record_the_bridge_goes_by_its_lease() {
    let Some(host) = host() else { return };
    host.sh("mount -o remount,ro /run");
    let args = with(&["--firewall", "none"]);
    assert_eq!(host.kboot(&args).code, 0);
    assert!(unchanged(&host.kboot(&args)));
    let down = host.kboot(&["bridge", "--name", "pods0", "--down"]);
    assert!(down.code == 0 && down.stderr.contains("pods0 stays, "), "{down:?}");
    let down = host.kboot(&with(&["--down"]));
    assert_eq!((down.code, host.ip("link").as_array().unwrap().len()), (0, 1), "{down:?}");
}

#[test]
fn without_net_admin_it_says_so_in_a_line() {
    let Some(host) = host() else { return };
    host.sh("sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    let none = ["--bounding-set=-all", "--inh-caps=-all", "--"];
    let without = |args: &[&str]| by(&host, "setpriv", &none, args);
    let rights = "Operation not permitted: needs root (CAP_NET_ADMIN)";
    let add = "ip link add pods0 address 0a:6b:ac:14:07:01 type bridge stp_state 0 forward_delay 0";
    assert_eq!(
        without(&with(&["--firewall", "none"])).error(),
        (1, &*format!("kboot bridge: {add}: {rights}"))
    );
    for firewall in ["nft", "iptables", "auto"] {
        let done = without(&with(&["--firewall", firewall]));
        assert_eq!(done.error(), (1, &*format!("kboot bridge: nft list chains: {rights}")), "{firewall}");
    }
    assert_eq!(host.kboot(&with(&["--firewall", "none"])).code, 0);
    assert!(unchanged(&without(&with(&["--firewall", "none"]))), "what is so needs no rights");
    let mtu = without(&with(&["--firewall", "none", "--mtu", "1400"]));
    assert_eq!(mtu.error(), (1, &*format!("kboot bridge: ip link set pods0 mtu 1400: {rights}")));
    assert_eq!(without(&["bridge", "--name", "pods0", "--down"]).code, 1);
}

/// Legacy iptables opens a raw socket: CAP_NET_ADMIN is not what it lacks.
#[test]
fn legacy_iptables_names_the_right_it_lacks() {
    let Some(host) = host() else { return };
    let Some(program) = need("iptables-legacy", "iptables") else { return };
    host.sh(&format!("mkdir /run/bin && ln -s {} /run/bin/iptables", program.display()));
    let path = format!("PATH=/run/bin:{SYSTEM}");
    let caps = ["-i", &path, "setpriv", "--bounding-set=-all,+net_admin", "--inh-caps=-all", "--"];
    let done = by(&host, "env", &caps, &with(&["--firewall", "iptables"]));
    assert!(done.code == 1 && done.stderr.contains("CAP_NET_RAW"), "{done:?}");
    assert_eq!(by(&host, "env", &caps, &ARGS).code, 0, "nft does without");
}

/// Refused with this line, and without any change.
fn refused(host: &Host, line: &str) {
    let done = host.kboot(&ARGS);
    assert_eq!(host.ip("link").as_array().unwrap().len(), 1, "{done:?}");
    assert_eq!(done.error(), (1, line));
}

#[test]
fn a_proc_that_is_read_only_is_named_in_a_line() {
    let Some(host) = host() else { return };
    host.sh("mount --bind /proc /proc && mount -o remount,bind,ro /proc");
    refused(&host, "kboot bridge: sysctl -w net.ipv4.ip_forward=1: Read-only file system");
}

#[test]
fn a_proc_that_is_not_there_is_named_in_a_line() {
    let Some(host) = host() else { return };
    host.sh("umount -l /proc");
    refused(&host, "kboot bridge: sysctl net.ipv4.ip_forward: not there: is /proc mounted?");
}

/// As an initramfs may be: the binary and /proc.
#[test]
fn a_host_of_the_binary_and_proc_alone_is_enough() {
    let Some(host) = host() else { return };
    host.sh(&format!(
        "mkdir -p /run/new/proc && cp {} /run/new/kboot && mount -t proc proc /run/new/proc",
        binary().display()
    ));
    let inside = |args: &[&str]| finish(host.command("chroot", &["/run/new", "/kboot"]).args(args));
    let done = inside(&ARGS);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(unchanged(&inside(&ARGS)));
    assert_eq!(inside(&with(&["--check"])).code, 0);
    assert_eq!(host.sh("nft list ruleset").matches("masquerade fully-random").count(), 2);
    assert_eq!(inside(&with(&["--down"])).code, 0);
    assert_eq!((host.ip("link").as_array().unwrap().len(), host.sh("nft list ruleset").as_str()), (1, ""));
    assert_eq!(host.sh("ls /run/new"), "kboot\nproc\n");
}

#[test]
fn without_br_netfilter_there_is_a_warning_and_a_bridge() {
    let Some(host) = host() else { return };
    host.sh("mount -t tmpfs none /proc/sys/net/bridge");
    let done = host.kboot(&with(&["-q"]));
    assert_eq!((done.code, done.stderr.lines().count()), (0, 1), "{done:?}");
    assert!(
        done.stderr.starts_with("kboot bridge: warning: net.bridge.bridge-nf-call-iptables: "),
        "{done:?}"
    );
    assert!(done.stderr.contains("CONFIG_BRIDGE_NETFILTER"), "{done:?}");
    let json = host.kboot(&with(&["--json"])).json();
    assert_eq!((&json["outcome"], json["warnings"].as_array().map(Vec::len)), (&"unchanged".into(), Some(1)));
}

/// Lets a command see no nf_tables: socket(AF_NETLINK, _, NETLINK_NETFILTER) is EPROTONOSUPPORT.
fn no_nf_tables(command: &mut Command) -> &mut Command {
    let stmt = |code: u32, k: u32| libc::sock_filter { code: u16::try_from(code).unwrap(), jt: 0, jf: 0, k };
    // To the next one if equal, else past the refusal.
    let only = |k: u32, past: u8| libc::sock_filter {
        jf: past,
        ..stmt(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k)
    };
    let load = |offset: u32| stmt(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let ret = |k: u32| stmt(libc::BPF_RET | libc::BPF_K, k);
    // struct seccomp_data: the call's number, then its arguments from 16 on, 8 bytes each.
    let low = if cfg!(target_endian = "little") { 16 } else { 20 };
    let mut filter = [
        load(0),
        only(u32::try_from(libc::SYS_socket).unwrap(), 5),
        load(low),
        only(u32::try_from(libc::AF_NETLINK).unwrap(), 3),
        load(low + 16),
        only(u32::try_from(libc::NETLINK_NETFILTER).unwrap(), 1),
        ret(libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EPROTONOSUPPORT).unwrap()),
        ret(libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: 8, filter: filter.as_mut_ptr() };
        // SAFETY: prctl reads the program, which lives until it returns, and keeps a copy.
        let done =
            unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec it makes one system call.
    unsafe { command.pre_exec(install) }
}

#[test]
fn a_kernel_without_nf_tables_is_named_where_it_matters() {
    let Some(host) = host() else { return };
    let missing = "this kernel has no nf_tables (Linux 3.18, CONFIG_NF_TABLES, module nf_tables)";
    let run = |path: &str, args: &[&str]| {
        let mut command = host.command("env", &["-i", &format!("PATH={path}")]);
        finish(no_nf_tables(command.arg(binary()).args(args)))
    };
    let last = |done: &Done| (done.code, done.stderr.lines().last().unwrap_or_default().to_owned());
    let done = run(SYSTEM, &with(&["--firewall", "nft"]));
    assert_eq!(last(&done), (1, format!("kboot bridge: {missing}")));
    let done = run("/nowhere", &ARGS);
    assert_eq!(
        last(&done),
        (1, format!("kboot bridge: masquerading: there is no iptables program, and {missing}"))
    );
    assert_eq!(host.ip("link").as_array().unwrap().len(), 1, "nothing is made: {done:?}");
    assert_eq!(run("/nowhere", &with(&["--firewall", "none"])).code, 0);

    let Some(program) = need("iptables-legacy", "iptables") else { return };
    host.sh(&format!(
        "mkdir /run/bin && for v in '' 6; do ln -s {} /run/bin/ip${{v}}tables; done",
        program.with_file_name("xtables-legacy-multi").display()
    ));
    for args in [with(&["--firewall", "iptables"]), ARGS.to_vec()] {
        let done = run("/run/bin:/usr/bin", &args);
        assert_eq!(done.code, 0, "{done:?}");
        assert!(unchanged(&run("/run/bin:/usr/bin", &args)));
    }
    for program in ["iptables-legacy", "ip6tables-legacy"] {
        assert!(host.sh(&format!("{program} -t nat -S")).contains("-j KBOOT-pods0"));
    }
    assert_eq!(run("/run/bin:/usr/bin", &with(&["--down"])).code, 0);
    assert!(!host.sh("iptables-legacy -t nat -S; ip6tables-legacy -t nat -S").contains("KBOOT"));
}
