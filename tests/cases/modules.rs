//! Kernel modules, loaded by bridge into a real kernel in a virtual machine: as distributions ship them,
//! and as they should not be.

use std::fs;

use crate::support::machine::{Machine, packed};
use crate::support::need;

/// What the steps call. `tree NAME`: that directory is /lib/modules/VERSION from now on, and nothing is
/// loaded. `bridge`: kboot, its exit status, and what the kernel then has.
const FUNCTIONS: &str = "
tree() {
    umount /proc/sys/net/bridge /proc/modules
    for module in br_netfilter bridge stp llc; do rmmod $module; done
    mkdir -p /lib/modules && rm -f /lib/modules/*
    [ -z \"$1\" ] || ln -s \"/trees/$1\" \"/lib/modules/$(uname -r)\"
} 2>/dev/null
bridge() {
    kboot bridge --name br-pods --subnet 10.7.3.1/24 --mtu 1450 --no-masquerade --firewall none
    echo exit $?
    echo loaded: $(cut -d' ' -f1 /proc/modules | sort)
    cat /proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null
}
";

/// Once more; with the module's settings hidden, so that bridge looks for the module; with the list of
/// modules hidden too, so that only the kernel can say that it has them. Then from below /usr alone.
const AFTER: [&str; 5] = [
    "bridge",
    "mount -t tmpfs tmpfs /proc/sys/net/bridge; bridge",
    "echo >/tmp/none; mount --bind /tmp/none /proc/modules; bridge",
    "ip addr show br-pods",
    "tree; mkdir -p /usr/lib/modules; ln -s /trees/plain /usr/lib/modules/$(uname -r); bridge",
];

const LOADED: &str = "\
kboot bridge: modprobe br_netfilter
kboot bridge: sysctl -w net.ipv4.ip_forward=1
";

/// The modules in the order in which they are loaded, as modules.dep names them.
const FILES: [&str; 4] = [
    "kernel/net/llc/llc.ko",
    "kernel/net/802/stp.ko",
    "kernel/net/bridge/bridge.ko",
    "kernel/net/bridge/br_netfilter.ko",
];

fn machine() -> Option<Machine> {
    need("xz", "tools").and(need("zstd", "tools")).and_then(|_| Machine::new())
}

/// A tree: the kernel's own lists, some of its modules with `end` behind their names, changed by `change`.
fn tree(machine: &mut Machine, name: &str, end: &str, change: impl Fn(&str, Vec<u8>) -> Vec<u8>) {
    let from = machine.directory.join("lib/modules").join(&machine.release);
    let dep = fs::read_to_string(from.join("modules.dep")).unwrap();
    let is_here = |l: &&str| FILES.iter().any(|file| l.starts_with(&format!("{file}:")));
    let dep: String = dep.split_inclusive('\n').filter(is_here).collect();
    machine.file(&format!("trees/{name}/modules.dep"), dep.replace(".ko", &format!(".ko{end}")));
    let builtin = fs::read(from.join("modules.builtin")).unwrap();
    machine.file(&format!("trees/{name}/modules.builtin"), builtin);
    for file in FILES {
        let content = change(file, fs::read(from.join(file)).unwrap());
        machine.file(&format!("trees/{name}/{file}{end}"), content);
    }
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).rposition(|w| w == from.as_bytes()).unwrap();
    [&bytes[..at], to.as_bytes(), &bytes[at + to.len()..]].concat()
}

/// Without the mark at its end, the kernel takes a module for one without signature.
fn unsigned(bytes: &[u8]) -> Vec<u8> {
    replaced(bytes, "~Module signature appended~", "~Module signature forgotten")
}

#[test]
fn br_netfilter_and_what_it_needs_are_loaded_however_they_are_compressed() {
    let Some(mut machine) = machine() else { return };
    // As the kernel's makefiles do (xz: since 6.6, and before), as SUSE and Alpine do.
    let ways = [
        ("plain", "", "cat"),
        ("xz", ".xz", "xz --check=crc32 --lzma2=dict=1MiB"),
        ("xz-2MiB", ".xz", "xz --lzma2=dict=2MiB"),
        ("xz-blocks", ".xz", "xz --block-size=100KiB"),
        ("zst", ".zst", "zstd -19"),
        ("zst-long", ".zst", "zstd --ultra -22 --long=26"),
        ("gz", ".gz", "gzip -n"),
    ];
    for (name, end, command) in ways {
        tree(&mut machine, name, end, |_, bytes| packed(command, &bytes));
    }
    let lines: Vec<String> = ways.iter().map(|(name, ..)| format!("tree {name}; bridge")).collect();
    let steps: Vec<&str> = lines.iter().map(String::as_str).chain(AFTER).collect();
    let console = machine.boot(FUNCTIONS, &steps);
    let end = "exit 0\nloaded: br_netfilter bridge llc stp\n1\n";
    for ((name, ..), text) in ways.iter().zip(&console) {
        assert!(
            text.starts_with("kboot bridge: modprobe br_netfilter\n") && text.ends_with(end),
            "{name}: {text}"
        );
    }
    assert!(console[0].starts_with(LOADED), "{}", console[0]);
    let [again, live, exists, ip, usr] = &console[ways.len()..] else { panic!("{console:?}") };
    let nothing = "kboot bridge: br-pods 10.7.3.1/24 up (0 changed, 5 already so)\nexit 0\n";
    assert_eq!(*again, format!("{nothing}loaded: br_netfilter bridge llc stp\n1\n"));
    assert!(
        live.contains("is not there in this network namespace") && live.contains("(0 changed, 4 already so)"),
        "{live}"
    );
    assert!(
        exists.contains("modprobe br_netfilter\n") && exists.contains("(1 changed, 4 already so)"),
        "{exists}"
    );
    assert!(ip.contains("inet 10.7.3.1/24"), "{ip}");
    assert!(usr.ends_with(end), "{usr}");
}

/// A tree for each thing that can be wrong with one.
fn wrong_trees(machine: &mut Machine) {
    let release = machine.release.clone();
    let is_bridge = |file: &str| file == FILES[2];
    tree(machine, "plain", "", |_, bytes| bytes);
    tree(machine, "unsigned", "", |_, bytes| unsigned(&bytes));
    tree(machine, "altered", "", |file, bytes| {
        if is_bridge(file) { replaced(&bytes, "license=GPL", "license=MIT") } else { bytes }
    });
    tree(machine, "foreign", "", |file, bytes| {
        let (ours, theirs) = (format!("vermagic={release} SMP"), format!("vermagic={release} PDP"));
        if is_bridge(file) { unsigned(&replaced(&bytes, &ours, &theirs)) } else { bytes }
    });
    tree(machine, "damaged", ".xz", |_, bytes| {
        let mut bytes = packed("xz", &bytes);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        bytes
    });
    for (end, command) in [("xz", "xz -0"), ("zst", "zstd"), ("gz", "gzip")] {
        let bomb = packed(command, &vec![0; (64 << 20) + 1]);
        tree(machine, end, &format!(".{end}"), |_, _| bomb.clone());
    }
    machine.file("trees/empty/modules.order", "");
    machine.file("trees/gone/modules.dep", "kernel/br_netfilter.ko:\n");
    machine.file("trees/other/modules.dep", "kernel/net/llc/llc.ko:\n");
    machine.file("trees/built-in/modules.dep", "");
    machine.file("trees/built-in/modules.builtin", "kernel/net/bridge/br-netfilter.ko\n");
}

/// Shell lines, and what is said; DIR is the directory of the kernel's modules.
const WRONG: [(&str, &str); 12] = [
    ("tree; bridge", "DIR: there are no modules for this kernel"),
    ("tree empty; bridge", "DIR/modules.dep: No such file or directory"),
    ("tree gone; bridge", "DIR/kernel/br_netfilter.ko: No such file or directory"),
    (
        "tree damaged; bridge",
        "needs llc: DIR/kernel/net/llc/llc.ko.xz: is damaged, or compressed in an unusual way",
    ),
    ("tree xz; bridge", "needs llc: DIR/kernel/net/llc/llc.ko.xz: is larger than 64 MiB unpacked"),
    ("tree zst; bridge", "needs llc: DIR/kernel/net/llc/llc.ko.zst: is larger than 64 MiB unpacked"),
    ("tree gz; bridge", "needs llc: DIR/kernel/net/llc/llc.ko.gz: is larger than 64 MiB unpacked"),
    (
        "tree foreign; bridge",
        "needs bridge: DIR/kernel/net/bridge/bridge.ko is not for this kernel (VERSION)",
    ),
    (
        "tree altered; bridge",
        "needs bridge: the kernel refused it: Key was rejected by service (signature: secure boot or lockdown)",
    ),
    (
        "tree plain; unshare -U kboot bridge --subnet 10.7.3.1/24 --no-masquerade; echo exit $?",
        "needs llc: Operation not permitted: needs root (CAP_SYS_MODULE)",
    ),
    (
        "tree unsigned; echo 1 > /sys/module/module/parameters/sig_enforce; bridge",
        "needs llc: the kernel refused it: Key was rejected by service (signature: secure boot or lockdown)",
    ),
    (
        "tree plain; echo 1 > /proc/sys/kernel/modules_disabled; bridge",
        "needs llc: Operation not permitted: needs CAP_SYS_MODULE and a kernel that is not locked down (see dmesg)",
    ),
];

#[test]
fn what_cannot_be_loaded_is_said_in_one_line() {
    let Some(mut machine) = machine() else { return };
    wrong_trees(&mut machine);
    let release = machine.release.clone();
    let steps: Vec<&str> = ["tree other; bridge", "tree built-in; bridge"]
        .into_iter()
        .chain(WRONG.map(|(lines, _)| lines))
        .collect();
    let console = machine.boot(FUNCTIONS, &steps);
    let directory = format!("/lib/modules/{release}");
    for ((lines, error), text) in WRONG.iter().zip(&console[2..]) {
        let error = error.replace("DIR", &directory).replace("VERSION", &release);
        let first = text.lines().find(|l| l.contains(": warning: ")).unwrap_or_default();
        let end = format!(": {error}: kube-proxy's services will not work between pods of this node");
        assert!(first.starts_with("kboot bridge: warning: ") && first.ends_with(&end), "{lines}: {text}");
        assert!(text.contains("\nexit 1\n"), "{lines}: it has no bridges either: {text}");
    }
    assert!(
        console[0]
            .contains("bridge-nf-call-iptables: this kernel has no br_netfilter (CONFIG_BRIDGE_NETFILTER): "),
        "{}",
        console[0]
    );
    assert!(console[1].contains("is not there in this network namespace"), "{}", console[1]);
}
