//! Packets between two network namespaces, and whose they are to the one who gets them.

use std::collections::BTreeSet;
use std::io::Result;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::BindToDevice;

use super::host::inside;
use super::until;

/// For what has to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// For what must not come: a thousand times as long as it takes.
const SHORT: Duration = Duration::from_millis(300);

/// What became of a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Nothing,
    /// It came from this address, and nobody there could be answered.
    OneWay(IpAddr),
    /// It came from this address, and the answer came back.
    Answered(IpAddr),
}

/// A UDP packet to an address that `to` has. Where it is answered, a TCP connection must fare the same.
pub fn seen(from: &Path, to: &Path, address: IpAddr) -> Seen {
    let udp = datagram(&sender(from, any(address)), to, address, PATIENCE);
    if let Seen::Answered(_) = udp {
        assert_eq!(connection(from, to, address), udp, "TCP and UDP to {address}");
    }
    udp
}

/// A UDP packet with an address of its own choice, by a link of its own choice.
pub fn seen_from(source: IpAddr, link: &str, from: &Path, to: &Path, address: IpAddr) -> Seen {
    let sender = sender(from, source);
    setsockopt(&sender, BindToDevice, &link.into()).unwrap();
    datagram(&sender, to, address, PATIENCE)
}

/// Whether a packet gets lost.
pub fn lost(from: &Path, to: &Path, address: IpAddr) -> bool {
    datagram(&sender(from, any(address)), to, address, SHORT) == Seen::Nothing
}

fn datagram(sender: &UdpSocket, to: &Path, address: IpAddr, patience: Duration) -> Seen {
    let receiver = inside(to, || receiver(address)).unwrap();
    receiver.set_read_timeout(Some(patience)).unwrap();
    // Whether it could be sent shows where it should arrive.
    let _ = sender.send_to(b"?", (address, receiver.local_addr().unwrap().port()));
    let mut byte = [0];
    let Ok((_, peer)) = receiver.recv_from(&mut byte) else { return Seen::Nothing };
    sender.set_read_timeout(Some(PATIENCE)).unwrap();
    let answer = receiver.send_to(b"!", peer).and_then(|_| sender.recv(&mut byte));
    if answer.is_ok() { Seen::Answered(peer.ip()) } else { Seen::OneWay(peer.ip()) }
}

fn sender(from: &Path, source: IpAddr) -> UdpSocket {
    inside(from, || UdpSocket::bind((source, 0))).unwrap()
}

/// Where packets to an address arrive, be it a group's.
fn receiver(address: IpAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((address, 0))?;
    if let IpAddr::V4(group) = address
        && group.is_multicast()
    {
        socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?;
    }
    Ok(socket)
}

fn connection(from: &Path, to: &Path, address: IpAddr) -> Seen {
    let listener = inside(to, || TcpListener::bind((address, 0))).unwrap();
    let target = listener.local_addr().unwrap();
    match inside(from, || TcpStream::connect_timeout(&target, PATIENCE)) {
        Ok(_) => Seen::Answered(listener.accept().unwrap().1.ip()),
        Err(_) => Seen::Nothing,
    }
}

fn any(like: IpAddr) -> IpAddr {
    if like.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// Numbered packets, one every few milliseconds, each echoed. It ends when dropped.
pub struct Stream {
    sent: Arc<AtomicUsize>,
    sender: JoinHandle<Lost>,
}

/// Of so many packets, these were not echoed.
#[derive(Debug)]
pub struct Lost {
    pub of: usize,
    pub numbers: BTreeSet<usize>,
}

impl Stream {
    pub fn start(from: &Path, to: &Path, address: IpAddr) -> Self {
        let echo = inside(to, || UdpSocket::bind((address, 0))).unwrap();
        let sender = sender(from, any(address));
        sender.connect(echo.local_addr().unwrap()).unwrap();
        let sent = Arc::new(AtomicUsize::new(0));
        let (count, alive) = (Arc::downgrade(&sent), Arc::downgrade(&sent));
        thread::spawn(move || echo_all(&echo, &alive));
        let sender = thread::spawn(move || send_all(&sender, &count));
        let stream = Self { sent, sender };
        stream.flows();
        stream
    }

    /// Waits for some more packets.
    pub fn flows(&self) {
        let enough = self.sent.load(Ordering::Relaxed) + 20;
        until("packets are sent", || self.sent.load(Ordering::Relaxed) >= enough);
    }

    /// Ends it, after late echoes.
    pub fn end(self) -> Lost {
        drop(self.sent);
        self.sender.join().unwrap()
    }
}

fn echo_all(socket: &UdpSocket, alive: &Weak<AtomicUsize>) {
    socket.set_read_timeout(Some(SHORT)).unwrap();
    let mut bytes = [0; 8];
    loop {
        match socket.recv_from(&mut bytes) {
            Ok((_, peer)) => drop(socket.send_to(&bytes, peer)),
            Err(_) if alive.strong_count() == 0 => return,
            Err(_) => {}
        }
    }
}

fn send_all(socket: &UdpSocket, sent: &Weak<AtomicUsize>) -> Lost {
    // It sets the pace too.
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let mut lost = Lost { of: 0, numbers: BTreeSet::new() };
    while let Some(sent) = sent.upgrade() {
        // What cannot even be sent is lost as well.
        let _ = socket.send(&lost.of.to_be_bytes());
        lost.numbers.insert(lost.of);
        lost.of += 1;
        sent.store(lost.of, Ordering::Relaxed);
        take_echoes(socket, &mut lost);
    }
    let end = Instant::now() + SHORT;
    while !lost.numbers.is_empty() && Instant::now() < end {
        take_echoes(socket, &mut lost);
    }
    lost
}

fn take_echoes(socket: &UdpSocket, lost: &mut Lost) {
    let mut bytes = [0; 8];
    while socket.recv(&mut bytes).is_ok() {
        lost.numbers.remove(&usize::from_be_bytes(bytes));
    }
}
