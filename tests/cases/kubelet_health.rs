//! kubelet-launch --supervise: what it tells the service manager of the kubelet's health.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::host::{Host, inside};
use crate::support::odd_server::read_text;
use crate::support::supervised::{FOREVER, Supervised};
use crate::support::{Scratch, root_user, until};

/// Answers each request with this status; from then on with another, when it is changed.
fn stand_in_healthz(listener: TcpListener) -> (Arc<AtomicU16>, Arc<AtomicU16>) {
    let (status, asked) = (Arc::new(AtomicU16::new(503)), Arc::new(AtomicU16::new(0)));
    let shared = (status.clone(), asked.clone());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Some(request) = read_text(&mut stream) else { continue };
            assert!(request.starts_with("GET /healthz HTTP/1.1\r\n"), "{request}");
            let status = status.load(Ordering::SeqCst);
            let _ =
                write!(stream, "HTTP/1.1 {status} Said\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
            asked.fetch_add(1, Ordering::SeqCst);
        }
    });
    shared
}

#[test]
fn the_service_manager_hears_when_it_is_well_and_when_not() {
    if !root_user() {
        return;
    }
    // The kubelet's default place, in a network namespace of its own.
    let host = Host::new();
    let listener = inside(&host.netns(), || TcpListener::bind("127.0.0.1:10248").unwrap());
    let (status, asked) = stand_in_healthz(listener);
    let dir = Scratch::new();
    let manager = UnixDatagram::bind(dir.path("notify")).unwrap();
    manager.set_nonblocking(true).unwrap();
    let mut heard = Vec::new();
    let mut hear = || {
        let mut buffer = [0; 4096];
        while let Ok(n) = manager.recv(&mut buffer) {
            heard.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
        }
        heard.clone()
    };
    let netns = format!("--net={}", host.netns().display());
    let kboot = Supervised::start_by(&["nsenter", &netns], &format!("env >>events\n{FOREVER}"), &[], |c| {
        c.env("NOTIFY_SOCKET", dir.path("notify")).env("WATCHDOG_USEC", "400000");
    });
    let first = kboot.kubelet(1);
    until("it has been asked", || asked.load(Ordering::SeqCst) >= 3);
    assert_eq!(hear(), [format!("STATUS=the kubelet is started (pid {first})")], "503 is not ready");
    status.store(200, Ordering::SeqCst);
    until("READY", || hear().contains(&format!("READY=1\nSTATUS=the kubelet runs (pid {first})")));
    until("WATCHDOG", || hear().iter().filter(|m| *m == "WATCHDOG=1").count() > 3);
    kboot.await_log("the kubelet is healthy ");
    status.store(500, Ordering::SeqCst);
    let unwell = "the kubelet is not healthy any more: http://127.0.0.1:10248/healthz: status 500\n";
    kboot.await_log(unwell);
    let beats = hear().iter().filter(|m| *m == "WATCHDOG=1").count();
    let before = asked.load(Ordering::SeqCst);
    until("it is asked again", || asked.load(Ordering::SeqCst) > before + 1);
    assert_eq!(hear().iter().filter(|m| *m == "WATCHDOG=1").count(), beats, "silence, as asked for");
    status.store(200, Ordering::SeqCst);
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    let second = kboot.kubelet(2);
    until("it runs again", || hear().contains(&format!("STATUS=the kubelet runs (pid {second})")));
    let environment = kboot.events();
    assert!(environment.iter().any(|e| e.starts_with("PATH=")), "{environment:?}");
    for name in ["NOTIFY_SOCKET", "WATCHDOG"] {
        assert!(!environment.iter().any(|e| e.starts_with(name)), "{environment:?}");
    }
    assert_eq!(kboot.stop().0, 143);
    let heard = hear();
    let last = format!("STOPPING=1\nSTATUS=stopping the kubelet (pid {second})");
    assert_eq!(heard.last(), Some(&last));
    assert_eq!(heard.iter().filter(|m| m.contains("READY=1")).count(), 1, "{heard:?}");
    let killed = format!("STATUS=the kubelet (pid {first}) was killed by SIGKILL after ");
    assert!(heard.iter().any(|m| m.starts_with(&killed)), "{heard:?}");
}

/// A signal does not wait for a healthz that accepts and then hangs.
#[test]
fn a_healthz_that_hangs_holds_nothing_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let kboot = Supervised::start(FOREVER, &["--healthz-port", &port]);
    let connection = listener.accept().unwrap();
    let stopped = Instant::now();
    assert_eq!(kboot.stop().0, 143);
    assert!(stopped.elapsed() < Duration::from_millis(2500), "{:?}", stopped.elapsed());
    drop(connection);
}
