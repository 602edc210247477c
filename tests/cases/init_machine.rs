//! `init` as PID 1 of a virtual machine, with nothing in the image that the test does not put there.

use crate::support::machine::{Machine, packed};
use crate::support::need;

/// virtio's bus and network card, as modules.dep names them.
const NETWORK: [&str; 8] = [
    "kernel/drivers/virtio/virtio_ring.ko",
    "kernel/drivers/virtio/virtio.ko",
    "kernel/drivers/virtio/virtio_pci_modern_dev.ko",
    "kernel/drivers/virtio/virtio_pci_legacy_dev.ko",
    "kernel/drivers/virtio/virtio_pci.ko",
    "kernel/net/core/failover.ko",
    "kernel/drivers/net/net_failover.ko",
    "kernel/drivers/net/virtio_net.ko",
];

const BRIDGE: [&str; 4] = [
    "kernel/net/llc/llc.ko",
    "kernel/net/802/stp.ko",
    "kernel/net/bridge/bridge.ko",
    "kernel/net/bridge/br_netfilter.ko",
];

fn busybox(machine: &mut Machine) {
    machine.executable("bin/busybox", &need("busybox", "tools").unwrap());
}

/// kboot's own lines, without the kernel's time in front.
fn lines(console: &str) -> Vec<&str> {
    let own = console.lines().filter_map(|l| l.find("kboot: ").map(|at| &l[at + 7..]));
    own.map(|l| l.rsplit("\x1b[K").next().unwrap()).collect()
}

/// What stands for a time becomes `N`.
fn timeless(line: &str) -> String {
    let is_number = |w: &str| w.starts_with(|c: char| c.is_ascii_digit());
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    for at in (0..words.len().saturating_sub(1)).rev() {
        let unit = words[at + 1].trim_end_matches([')', ':', ';', ',']);
        if is_number(words[at].trim_start_matches('(')) && matches!(unit, "ms" | "s") {
            let end = words[at + 1][unit.len()..].to_owned();
            let start = if words[at].starts_with('(') { "(" } else { "" };
            words[at] = format!("{start}N{end}");
            words.remove(at + 1);
        }
    }
    words.join(" ")
}

fn timeless_lines(console: &str) -> Vec<String> {
    lines(console).into_iter().map(timeless).collect()
}

/// The console of a machine whose list is done, and which restarts then.
fn booted(machine: Machine) -> String {
    let running = machine.start();
    running.until("the boot list is done");
    running.monitor("sendkey ctrl-alt-delete");
    running.end()
}

#[test]
fn an_image_with_nothing_in_it_boots_stays_and_restarts_by_ctrl_alt_del() {
    let Some(machine) = Machine::with_init() else { return };
    let console = booted(machine);
    assert_eq!(
        timeless_lines(&console),
        [
            "init 0.1.0, N after the kernel's start",
            "the boot list is done: 0 steps (N; N after the kernel's start)",
            "stopping, then restarting the machine",
        ],
        "{console}"
    );
    assert!(!console.contains("panic"), "{console}");
}

#[test]
fn drivers_are_found_by_the_devices_however_they_are_compressed() {
    for (end, command) in [("", "cat"), (".xz", "xz --check=crc32"), (".zst", "zstd -3")] {
        let Some(mut machine) = Machine::with_init() else { return };
        busybox(&mut machine);
        machine.modules(&[&NETWORK[..], &BRIDGE].concat(), end, |bytes| packed(command, bytes));
        machine.devices = ["-nic", "user,model=virtio-net-pci"].map(str::to_owned).into();
        machine.file("etc/kboot/modules", "br_netfilter # for kube-proxy\n");
        machine.file(
            "etc/kboot/boot",
            "/bin/busybox ip -o link\n/bin/busybox ip -o addr show lo\nbridge --subnet 10.81.3.1/24 --no-masquerade --firewall none\n",
        );
        // Not quiet: the kernel shows what goes to its log.
        "panic=-1".clone_into(&mut machine.parameters);
        let console = booted(machine);
        let own = timeless_lines(&console);
        assert_eq!(own[1], "modules br_netfilter loaded (N)", "{console}");
        let loaded: Vec<&str> = own[2].split(' ').collect();
        assert!(loaded.contains(&"virtio_pci") && loaded.contains(&"virtio_net"), "{console}");
        assert_eq!(own[5], "bridge cbr0 10.81.3.1/24 up (N)", "{console}");
        assert!(console.contains("kboot[/bin/busybox]: ") && console.contains("eth0: <"), "{console}");
        assert!(console.contains("inet 127.0.0.1/8"), "{console}");
        // The kernel's log has it and the kernel shows it: once is enough.
        assert_eq!(console.matches("bridge cbr0 10.81.3.1/24 up").count(), 1, "{console}");
    }
}

/// QEMU's own DHCP server; the address is in the kernel's when the list begins.
#[test]
fn the_network_comes_before_the_list_and_its_lease_is_kept() {
    let Some(mut machine) = Machine::with_init() else { return };
    busybox(&mut machine);
    machine.modules(&NETWORK, "", <[u8]>::to_vec);
    machine.devices = ["-nic", "user,model=virtio-net-pci"].map(str::to_owned).into();
    machine.parameters =
        "panic=-1 ip=dhcp kboot.boot=\"/bin/busybox ip -o -4 addr show eth0; /bin/busybox ip route\"".into();
    let console = booted(machine);
    let at = |text: &str| console.find(text).unwrap_or_else(|| panic!("{text}: {console}"));
    assert!(at("kboot: ipconfig ") < at("inet 10.0.2.15/24") && at("default via 10.0.2.2") > 0, "{console}");
    assert!(at("inet 10.0.2.15/24") < at("kboot: ipconfig started, and kept running"), "{console}");
}

#[test]
fn a_step_that_fails_is_one_line_and_the_machine_restarts() {
    let Some(mut machine) = Machine::with_init() else { return };
    machine.file(
        "etc/kboot/boot",
        "-/bin/none\n-flannel-env --timeout 2\nbridge --subnet 10.82.3.1/24 --no-masquerade\nregister\n",
    );
    "panic=1 quiet".clone_into(&mut machine.parameters);
    let console = machine.start().end();
    let own = timeless_lines(&console);
    assert_eq!(own[1], "/bin/none failed (N): /bin/none: no such program", "{console}");
    // Drawn each second while it waits, and gone when it is over.
    for seconds in ["(1 s)", "(2 s)"] {
        let drawn = format!(
            "kboot: flannel-env: waiting for /run/flannel/subnet.env: is not there yet (flanneld writes it) {seconds}\x1b[K"
        );
        assert!(console.contains(&drawn), "{drawn:?} {console:?}");
    }
    assert!(console.contains("\x1b[Kkboot: flannel-env failed (2."), "{console:?}");
    // The kernel shows its log's errors by itself: from there it comes.
    let from_kernel = |l: &str| l.starts_with('[') && l.contains("] kboot: bridge failed (");
    assert!(console.lines().any(from_kernel), "{console}");
    let failed: Vec<&String> = own.iter().filter(|l| l.starts_with("bridge failed (N): ")).collect();
    assert!(failed.len() == 1 && failed[0].contains("this kernel has no bridges"), "{console}");
    assert_eq!(
        own[own.len() - 2..],
        ["the machine restarts in N (panic=1)", "stopping, then restarting the machine"]
    );
    assert!(!console.contains("register"), "{console}");
}

#[test]
fn a_list_that_is_wrong_is_said_and_nothing_of_it_is_run() {
    let Some(mut machine) = Machine::with_init() else { return };
    machine.parameters = "panic=-1 quiet kboot.boot=\"bridge --subnet 10.83.3.1/24; 'regis ter'\"".into();
    let console = machine.start().end();
    assert_eq!(
        timeless_lines(&console),
        [
            "init: --boot (kboot.boot=) line 2: regis ter: applet not found: did you mean register? (a program needs its path)",
            "the machine restarts at once (panic=-1)",
            "stopping, then restarting the machine",
        ],
        "{console}"
    );
}

/// Ctrl-Alt-Del is init's: who waits for a disk for ever is to hear it.
#[test]
fn a_root_that_does_not_come_can_be_given_up() {
    let Some(mut machine) = Machine::with_init() else { return };
    machine.parameters = "panic=0 quiet root=/dev/vdz kboot.timeout=forever".into();
    let running = machine.start();
    running.until("kboot: waiting for /dev/vdz (1 s)");
    running.monitor("sendkey ctrl-alt-delete");
    let console = running.end();
    assert!(console.contains("kboot: stopping, then restarting the machine\n"), "{console}");
}

/// The card is put in while it is waited for, and nobody has named its driver.
#[test]
fn a_device_that_comes_late_gets_its_driver() {
    let Some(mut machine) = Machine::with_init() else { return };
    machine.modules(&NETWORK, "", <[u8]>::to_vec);
    machine.devices = ["-nic", "none", "-netdev", "user,id=late"].map(str::to_owned).into();
    machine.parameters = "panic=-1 quiet kboot.boot=\"ipconfig --timeout 40\"".into();
    let running = machine.start();
    running.until("waiting for a network link");
    running.monitor("device_add virtio-net-pci,netdev=late");
    running.until("the boot list is done");
    running.monitor("sendkey ctrl-alt-delete");
    let console = running.end();
    assert!(console.contains("kboot: ipconfig eth0 10.0.2.15/24 via 10.0.2.2"), "{console}");
}

/// Should PID 1 end, the kernel would panic.
#[test]
fn a_machine_that_was_to_say_what_it_would_do_does_not_panic() {
    let Some(mut machine) = Machine::with_init() else { return };
    machine.file("etc/kboot/boot", "bridge --subnet 10.82.9.1/24\n");
    machine.parameters = "panic=-1 quiet kboot.dry-run".into();
    let console = machine.start().end();
    assert!(console.contains("bridge --subnet 10.82.9.1/24\n") && !console.contains("panic -"), "{console}");
    assert_eq!(
        timeless_lines(&console),
        [
            "init: has said what it was asked (dry-run, help), and nothing was booted",
            "the machine restarts at once (panic=-1)",
            "stopping, then restarting the machine",
        ],
        "{console}"
    );
}

#[test]
fn a_rescue_shell_has_the_console_and_the_machine_restarts_after_it() {
    let Some(mut machine) = Machine::with_init() else { return };
    busybox(&mut machine);
    machine.parameters = "panic=0 quiet kboot.rescue kboot.boot=\"/bin/busybox false\"".into();
    let mut running = machine.start();
    running.until("rescue: /bin/busybox; when it ends the machine restarts");
    running.enter("busybox echo answer $((6 * 7)); busybox tty; exec /bin/busybox true");
    let console = running.end();
    assert!(console.contains("\nanswer 42\n") && !console.contains("job control turned off"), "{console}");
    assert!(
        timeless_lines(&console).iter().any(|l| l == "/bin/busybox failed (N): exited with status 1"),
        "{console}"
    );
}

#[test]
fn a_rescue_shell_that_is_not_there_is_said() {
    let Some(mut machine) = Machine::with_init() else { return };
    machine.parameters = "panic=-1 quiet kboot.rescue=/bin/fish kboot.boot=/bin/none;".into();
    let console = machine.start().end();
    assert_eq!(
        timeless_lines(&console)[1..],
        [
            "/bin/none failed (N): /bin/none: no such program",
            "kboot.rescue=/bin/fish: there is no such program: no shell",
            "the machine restarts at once (panic=-1)",
            "stopping, then restarting the machine",
        ],
        "{console}"
    );
}

#[test]
fn sigpwr_stops_what_runs_and_turns_the_machine_off() {
    let Some(mut machine) = Machine::with_init() else { return };
    busybox(&mut machine);
    machine.file(
        "etc/kboot/boot",
        "respawn /bin/busybox sh -c 'trap \"echo told >/dev/console; exit\" TERM; while :; do /bin/busybox sleep 0.1; done'\n\
         /bin/busybox sh -c '(/bin/busybox sleep 1; kill -PWR 1) &'\n",
    );
    let console = machine.start().end();
    let end = &console[console.find("stopping, then turning the machine off").unwrap()..];
    assert!(end.contains("\ntold\n") && end.contains("Power down"), "{console}");
}

/// console=null: the kernel gives no descriptors 0 to 2, and /dev/console leads nowhere.
#[test]
fn without_a_console_the_kernels_log_has_it() {
    let Some(mut machine) = Machine::with_init() else { return };
    busybox(&mut machine);
    machine.file("etc/kboot/boot", "/bin/busybox ls -l /proc/1/fd\n/bin/busybox mount\n/bin/none\n");
    machine.parameters = "console=null panic=-1 loglevel=7".into();
    let console = machine.start().end();
    assert!(
        console.contains("kboot: init 0.1.0, ") && console.contains("kboot: /bin/none failed ("),
        "{console}"
    );
    for mounted in [
        "proc on /proc",
        "sysfs on /sys",
        "devtmpfs on /dev",
        "tmpfs on /run",
        "devpts on /dev/pts",
        "tmpfs on /dev/shm",
        "cgroup2 on /sys/fs/cgroup",
    ] {
        assert_eq!(console.matches(mounted).count(), 1, "{mounted}: {console}");
    }
}
