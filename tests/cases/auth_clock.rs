//! A clock that is not set yet, as on a host without a battery: in a virtual machine whose clock shows
//! 1970. The server there is openssl's.

use std::path::Path;

use crate::support::join::shell;
use crate::support::machine::Machine;
use crate::support::{Scratch, need, tool};

const NODE: &str = r#"{"metadata":{"name":"clocked","labels":{"kubernetes.io/hostname":"clocked","kubernetes.io/os":"linux","kubernetes.io/arch":"amd64","beta.kubernetes.io/os":"linux","beta.kubernetes.io/arch":"amd64"},"annotations":{"volumes.kubernetes.io/controller-managed-attach-detach":"true"}},"spec":{"podCIDR":"10.165.1.0/24"}}"#;

/// A server on each of two ports: one's certificate is valid now, the other's from tomorrow on.
const FUNCTIONS: &str = "
ip link set lo up
now=$(cat /now)
mkdir -p /www/api/v1/nodes && cd /www && cp /node api/v1/nodes/clocked
/usr/bin/openssl s_server -accept 6443 -cert /now.crt -key /key -HTTP >/dev/null 2>&1 &
/usr/bin/openssl s_server -accept 6444 -cert /tomorrow.crt -key /key -HTTP >/dev/null 2>&1 &
register() {
    kboot register --name clocked --subnet 10.165.1.1/24 --server https://127.0.0.1:$1 --cacert /ca --timeout $2
    echo exit $?
}
centiseconds() { cut -d' ' -f1 /proc/uptime | tr -d .; }
# set_while_waiting PORT SECONDS: the clock is set after five seconds, when pauses have grown long
set_while_waiting() {
    register $1 60 >/log 2>&1 &
    sleep 5
    set=$(centiseconds)
    date -s @$2 >/dev/null
    wait $!
    echo took $(($(centiseconds) - set)) >>/log
    cat /log
}
";

/// For its log and how long it went on after the clock had been set, in hundredths of a second.
fn took(written: &str) -> u32 {
    written.split("took ").nth(1).unwrap_or_else(|| panic!("{written}")).trim().parse().unwrap()
}

#[test]
fn it_waits_for_the_clock_and_is_woken_when_it_is_set() {
    let Some(openssl) = need("openssl", "tools") else { return };
    let Some(mut machine) = Machine::new() else { return };
    let dir = Scratch::new();
    let line = r"cd $1
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout cakey -subj /CN=ca -days 9 -out ca
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -subj /CN=api -out csr
        touch index; echo subjectAltName=IP:127.0.0.1 >ext
        printf '[ca]\ndefault_ca=c\n[c]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n' >conf
        sign() { openssl ca -batch -config conf -in csr -cert ca -keyfile cakey -extfile ext -startdate $2 -enddate 20400101000000Z -out $1.crt -notext; }
        sign now $(date -u -d '1 hour ago' +%Y%m%d%H%M%SZ)
        sign tomorrow $(date -u -d tomorrow +%Y%m%d%H%M%SZ)";
    shell(&format!("{{ {line}\n}} 2>/dev/null"), &[dir.0.to_str().unwrap()]);
    for name in ["ca", "key", "now.crt", "tomorrow.crt"] {
        machine.file(name, std::fs::read(dir.path(name)).unwrap());
    }
    machine.file(
        "node",
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{NODE}", NODE.len()),
    );
    machine.file("now", tool("date", &["+%s"]));
    machine.program(Path::new(&openssl));
    machine.clock = Some("base=1970-01-01T00:00:00");
    let written = machine.boot(
        FUNCTIONS,
        &[
            "date +%Y; register 6443 1",
            "set_while_waiting 6443 $now",
            "date -s @100000 >/dev/null; set_while_waiting 6443 $((now + 7))",
            "set_while_waiting 6444 $((now + 200000))",
        ],
    );
    let waits =
        "https://127.0.0.1:6443: the clock says 1970-01-01, before kboot was built: waiting for it to be set";
    let first = format!(
        "1970\nkboot register: API server https://127.0.0.1:6443 (from --server)\nkboot register: waiting for {waits}\n\
         kboot register: {}\nexit 75\n",
        waits.replace("6443: ", "6443: not within 1s: ")
    );
    assert_eq!(written[0], first);
    for (at, why) in [
        (1, "the clock says 1970-01-01,"),
        (2, "the clock says 1970-01-02,"),
        (3, "the server's certificate is not valid yet, by this host's clock"),
    ] {
        let log = &written[at];
        assert!(log.contains(why) && log.contains("(0 changed, 1 already so)\nexit 0\n"), "{log}");
        // Unwoken it would sleep on for up to five seconds.
        assert!(took(log) < 200, "{log}");
    }
}
