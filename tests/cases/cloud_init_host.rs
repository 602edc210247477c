//! cloud-init's user-data by the real cloud-init of Debian 12 (22.4.2): its schema, its YAML, the script that
//! it makes of runcmd; and the first boot of a host, emulated, with a NoCloud seed.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::debian::{Debian, UP};
use crate::support::etcd::Etcd;
use crate::support::odd_server::read_text;
use crate::support::{Done, binary, finish, kboot, need, run, tool};

/// Where a host finds this machine's loopback through QEMU's own network.
const GATEWAY: &str = "10.0.2.2";

/// Serves the shipped binary, under whatever path; how often it was asked for. Where the path is /silent/..., it falls
/// silent in the middle of it, the first time that this path is asked for.
fn serve() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (count, bytes) = (Arc::new(AtomicUsize::new(0)), std::fs::read(binary()).unwrap());
    let counted = count.clone();
    thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if let Some(asked) = read_text(&mut stream) {
                counted.fetch_add(1, Ordering::Relaxed);
                let path = asked.split(' ').nth(1).unwrap_or_default().to_owned();
                let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
                let is_silent = path.starts_with("/silent/") && silent.iter().all(|(p, _)| *p != path);
                let body = if is_silent { &bytes[..9] } else { &bytes };
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
                if is_silent {
                    silent.push((path, stream));
                }
            }
        }
    });
    (port, count)
}

/// The shipped binary's sum, by sha256sum.
fn sum() -> String {
    tool("sha256sum", &[binary().to_str().unwrap()])[..64].to_owned()
}

/// Says which keys of user-data no schema has, what the files are, and writes the script that runcmd becomes.
const READER: &str = "import base64, json, sys, yaml
from cloudinit import util
from cloudinit.config.schema import get_schema
data = yaml.safe_load(open(sys.argv[1]))
defs = get_schema()
known = {k for ref in defs['allOf'] for k in defs['$defs'][ref['$ref'].split('/')[-1]].get('properties', {})}
assert len(known) > 50
print(sorted(set(data) - known))
for f in data.get('write_files', []):
    content = base64.b64decode(f['content']) if f.get('encoding') == 'b64' else f['content'].encode()
    print(f['path'], f['permissions'], content.hex())
open('/root/runcmd', 'w').write(util.shellify(data.get('runcmd', [])))
";

/// What cloud-init says of user-data: `schema`, then `READER`.
fn read(debian: &Debian, user_data: &str) -> Done {
    debian.write("/root/user-data", 0o644, user_data);
    debian.write("/root/reader.py", 0o644, READER);
    debian.sh("cloud-init schema -c /root/user-data && python3 /root/reader.py /root/user-data")
}

#[test]
fn the_real_cloud_init_takes_it_and_its_script_runs() {
    let Some(debian) = Debian::cloud() else { return };
    let (port, asked) = serve();
    let url = format!("http://127.0.0.1:{port}/kboot");
    let odd = debian.path("/root/odd");
    debian.write("/root/odd", 0o600, b" \xff\x00\n");
    let file = format!("{}:/etc/kboot/odd", odd.display());
    let set = ["--set", "register.annotation=a=\"$x\" 'y' \\", "--set", "KBOOT_SERVER=http://10.99.8.1:8080"];
    let options = [&["cloud-init", "--role", "both", "--url", &url, "--file", &file][..], &set].concat();
    let user_data = |sum: &str| run(&[&options[..], &["--sha256", sum]].concat()).ok().to_owned();

    let good = read(&debian, &user_data(&sum()));
    let lines: Vec<&str> = good.ok().lines().collect();
    assert_eq!(lines[..2], ["Valid cloud-config: /root/user-data", "[]"], "{good:?}");
    assert_eq!(lines[3], "/etc/kboot/odd 0600 20ff000a");
    let defaults = lines[2].strip_prefix("/etc/default/kboot 0644 ").unwrap();
    let defaults: Vec<u8> = (0..defaults.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&defaults[at..at + 2], 16).unwrap())
        .collect();
    debian.write("/etc/default/kboot", 0o644, &defaults);
    // sh's reading of it; systemd's is seen where hosts boot.
    let note = debian.sh(". /etc/default/kboot; printf %s \"$KBOOT_REGISTER_ANNOTATION\"");
    assert_eq!(note.ok(), "a=\"$x\" 'y' \\");
    // 22.4.2 takes any key.
    assert!(read(&debian, "#cloud-config\nwrite_file: []\n").ok().ends_with("\n['write_file']\n"));

    // Offline, systemctl enables units and starts nothing.
    let offline = "export SYSTEMD_OFFLINE=1";
    let wrong = "0".repeat(64);
    read(&debian, &user_data(&wrong)).ok();
    let done = debian.sh("sh /root/runcmd; echo $?; find /usr/local /etc/systemd -name 'kboot*'");
    let says = format!("kboot: {url}: its sha256 is {}, not {wrong}: nothing is installed", sum());
    assert!(done.stderr.contains(&says) && done.stdout == "1\n", "{done:?}");
    read(&debian, &user_data(&sum())).ok();
    debian.write("/root/busybox", 0o755, std::fs::read(need("busybox", "tools").unwrap()).unwrap());
    // By curl, by wget, by what cloud-init itself is written in.
    let ways = [("/root/busybox sh", "true"), ("sh", "rm /usr/bin/curl"), ("sh", "rm /usr/bin/wget")];
    for (shell, before) in ways {
        let before_it = asked.load(Ordering::Relaxed);
        let run = format!("{offline}; {before}; rm -f /usr/local/sbin/kboot; {shell} /root/runcmd");
        let done = debian.sh(&format!(
            "{run} && stat -c %a /usr/local/sbin/* && /usr/local/sbin/kboot --list | head -n 1"
        ));
        assert!(done.ok().ends_with("755\ninit\n"), "{before}: {done:?}");
        assert_eq!(asked.load(Ordering::Relaxed), before_it + 1, "{before}");
        // What is there already is not fetched again.
        assert_eq!(debian.sh(&format!("{offline}; {shell} /root/runcmd")).code, 0);
        assert_eq!(asked.load(Ordering::Relaxed), before_it + 1);
    }
    // In the image, but where a package puts it.
    read(&debian, run(&options[..3]).ok()).ok();
    let moved = format!("{offline}; mv /usr/local/sbin/kboot /usr/sbin && sh /root/runcmd");
    let units = debian.sh(&format!("{moved} && grep ^ExecStart= /etc/systemd/system/kboot-register.service"));
    assert_eq!(units.ok(), "ExecStart=/usr/sbin/kboot register\n");
    let gone = debian.sh(&format!("{offline}; mv /usr/sbin/kboot /usr/local/sbin/other; sh /root/runcmd"));
    assert_eq!(
        (gone.code, gone.stderr.lines().last()),
        (
            1,
            Some(
                "kboot: /usr/local/sbin/kboot is not in this image: put it there, or give kboot cloud-init --url and --sha256"
            )
        )
    );
    read(&debian, &user_data(&sum())).ok();
    debian.sh(&format!("{offline}; mv /usr/local/sbin/other /usr/local/sbin/kboot; sh /root/runcmd")).ok();
    // A step that fails ends the script with its status.
    debian.write("/etc/systemd/system/kboot-node.target", 0o644, "[Unit]\n");
    let done = debian.sh(&format!("{offline}; sh /root/runcmd"));
    assert!(done.code == 3 && done.stderr.ends_with("remove it, or --replace\n"), "{done:?}");
    let units = debian.sh("cd /etc/systemd/system; ls multi-user.target.wants; cat kboot-bridge.service");
    assert!(
        units.ok().contains("kboot-node.target\n") && units.stdout.contains("kboot-control-plane.target\n")
    );
    assert!(units.stdout.contains("ExecStart=/usr/local/sbin/kboot bridge\n"), "{units:?}");
}

/// By what the image has: curl, wget, Python; each has the second try's when the first goes no further.
#[test]
fn a_server_that_falls_silent_does_not_hold_a_first_boot_up() {
    let Some(debian) = Debian::cloud() else { return };
    let (port, asked) = serve();
    let ways = ["curl", "wget", "python"];
    for way in ways {
        let url = format!("http://127.0.0.1:{port}/silent/{way}");
        let program = format!("/opt/{way}/kboot");
        let data =
            run(&["cloud-init", "--role", "node", "--url", &url, "--sha256", &sum(), "--program", &program]);
        // Its first item: what comes before the units.
        let lines = data.ok().lines().skip_while(|l| *l != "runcmd:").skip(2).take_while(|l| *l != "- |");
        let script: Vec<&str> = lines.map(|l| l.get(2..).unwrap_or_default()).collect();
        debian.write(&format!("/root/{way}"), 0o644, script.join("\n"));
    }
    let done = debian.sh(
        "cd /root && for way in wget python; do mkdir $way.d; ln -s /usr/bin/* $way.d; rm $way.d/curl; done; rm python.d/wget
         sh curl & PATH=/root/wget.d sh wget & PATH=/root/python.d sh python & wait
         for way in curl wget python; do sha256sum </opt/$way/kboot; done",
    );
    assert_eq!(done.ok(), format!("{}  -\n", sum()).repeat(3), "{done:?}");
    assert_eq!(asked.load(Ordering::Relaxed), 6);
}

/// A host with a NoCloud seed, an address of its own, and those of cloud-init's modules that have to do with
/// this: the others' time is long, emulated.
fn host(user_data: &str, tells: &str) -> Option<Debian> {
    let debian = Debian::cloud()?;
    let seed = "/var/lib/cloud/seed/nocloud";
    debian.write(&format!("{seed}/user-data"), 0o600, user_data);
    debian.write(&format!("{seed}/meta-data"), 0o644, "instance-id: i-0815\nlocal-hostname: host-7\n");
    debian.write(
        "/etc/cloud/cloud.cfg.d/99-test.cfg",
        0o644,
        "network: {config: disabled}\ncloud_init_modules: [write-files]\ncloud_config_modules: [runcmd]\n\
         cloud_final_modules: [scripts-user, final-message]\n",
    );
    debian.write(
        "/etc/systemd/network/lan.network",
        0o644,
        "[Match]\nDriver=virtio_net\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n",
    );
    debian.sh("systemctl enable systemd-networkd.service; systemctl disable getty@tty1 apt-daily.timer").ok();
    debian.tells(&format!(
        "cloud-init status --wait --long; echo \"status $?\"\n{tells}\n\
         cat /var/log/cloud-init-output.log; grep -c 'Invalid cloud-config' /var/log/cloud-init.log"
    ));
    // Two Pythons at once would take longer.
    let after = "[Unit]\nAfter=cloud-final.service\n";
    debian.write("/etc/systemd/system/tell.service.d/after.conf", 0o644, after);
    Some(debian)
}

/// What its console had once cloud-init was done.
fn boot(debian: &Debian) -> String {
    let initrd: PathBuf = debian.path("/root/initrd");
    let modules = debian.machine.join("lib/modules").join(&debian.release);
    let mut command = kboot(&["mkinitramfs", "--quiet", "--kernel", &debian.release, "--output"]);
    command.arg(&initrd).arg("--modules-dir").arg(modules);
    for module in ["virtio_pci", "virtio_blk", "virtio_net", "ext4", "br_netfilter"] {
        command.args(["--module", module]);
    }
    finish(&mut command).ok();
    let devices = ["-netdev", "user,id=lan", "-device", "virtio-net-pci,netdev=lan"];
    let console = debian.boot_with(&initrd, &debian.disk(), "quiet systemd.show_status=0", &devices);
    console.split_once(UP).unwrap_or_else(|| panic!("not booted:\n{console}")).1.to_owned()
}

fn has(text: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn a_host_becomes_a_control_plane() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let (port, _) = serve();
    let etcd_port = etcd.url.rsplit(':').next().unwrap();
    let (url, sum) = (format!("http://{GATEWAY}:{port}/kboot"), sum());
    let endpoints = format!("etcd-config.endpoints=http://{GATEWAY}:{etcd_port}");
    let user_data = run(&[
        &["cloud-init", "--role", "control-plane", "--url", &url, "--sha256", &sum, "--set", &endpoints][..],
        &[
            "--set",
            "network=10.83.0.0/16",
            "--set",
            "backend=host-gw",
            "--set",
            "etcd-config.prefix=/net/a b",
        ],
        &["--file", "/etc/hostname:/etc/kboot/token:0600"],
    ]
    .concat());
    let tells = "stat -c '%a %U %n' /etc/kboot/token /etc/default/kboot /usr/local/sbin/kboot\n\
                 systemctl is-active kboot-etcd-config.service; systemctl is-enabled kboot-control-plane.target";
    let Some(host) = host(user_data.ok(), tells) else { return };
    let told = boot(&host);
    has(
        &told,
        &[
            "status: done\n",
            "\nstatus 0\n",
            "600 root /etc/kboot/token\n644 root /etc/default/kboot\n755 root /usr/local/sbin/kboot\n",
            "\nactive\nenabled\n",
        ],
    );
    assert!(told.trim_end().lines().any(|l| l == "0"), "its log tells of Invalid cloud-config:\n{told}");
    let config = etcd.get2("/net/a b/config").unwrap();
    assert!(config.contains("10.83.0.0/16") && config.contains("host-gw"), "{config}");
}

#[test]
fn a_failed_step_shows_in_cloud_inits_status() {
    let Some(lease) = need("busybox", "tools").map(|_| crate::support::Scratch::new()) else { return };
    let text =
        b"FLANNEL_NETWORK=10.84.0.0/16\nFLANNEL_SUBNET=10.84.9.1/24\nFLANNEL_MTU=1400\nFLANNEL_IPMASQ=true\n";
    let file = format!("{}:/run/flannel/subnet.env", lease.file("subnet.env", text));
    let server = format!("server=http://{GATEWAY}:1");
    let user_data = run(&[
        &["cloud-init", "--role", "node", "--program", "/opt/kboot/bin/kboot", "--file", &file][..],
        &["--set", &server, "--set", "timeout=0", "--set", "bridge.name=br-84", "--set", "firewall=none"],
    ]
    .concat());
    let Some(host) = host(user_data.ok(), "ip -o -4 addr show br-84") else { return };
    host.write("/opt/kboot/bin/kboot", 0o755, std::fs::read(binary()).unwrap());
    let told = boot(&host);
    has(
        &told,
        &[
            "status: error\n",
            "\nstatus 1\n",
            "RuntimeError('Runparts: 1 failures (runcmd) in 1 attempted commands')",
            "inet 10.84.9.1/24 ",
            "kboot: kboot-register.service is not up: journalctl -u kboot-register.service has:\n",
            &format!("http://{GATEWAY}:1"),
            "kboot: failed, and tried again by systemd: kboot-kubelet-launch.service kboot-register.service\n",
        ],
    );
}
