//! A link to a host on which real DHCP servers run: Debian's dnsmasq, busybox's udhcpd.

use std::process::{Child, Command, Stdio};

use super::host::Host;
use super::{Done, Scratch, binary, collect, need, root_user, until};

/// Two hosts on a cable: `uplink` here, `west` there.
pub struct Net {
    pub client: Host,
    pub server: Host,
    pub dir: Scratch,
    prefix: &'static str,
}

/// A server that ends with the value.
pub struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// Ends it, as a power cut would.
    pub fn stop(self) {
        drop(self);
    }
}

impl Net {
    /// With the server's host at PREFIX.1, its link up; ours down. `None`, after saying so: a component
    /// is missing.
    pub fn new(prefix: &'static str) -> Option<Self> {
        if !root_user() {
            return None;
        }
        need("dnsmasq", "tools").and(need("busybox", "tools"))?;
        let (client, server) = (Host::new(), Host::new());
        client.join("uplink", &server, "west");
        client.sh("ip link set uplink down");
        server.sh(&format!("ip addr add {prefix}.1/24 brd + dev west"));
        Some(Self { client, server, dir: Scratch::new(), prefix })
    }

    /// dnsmasq, giving out addresses from PREFIX.FIRST on, with a hundred at most, and these options
    /// besides. It listens when this returns.
    pub fn dnsmasq(&self, first: u8, more: &[&str]) -> Server {
        let leases = self.dir.path("leases");
        let range =
            format!("--dhcp-range={p}.{first},{p}.{},255.255.255.0,120s", first + 99, p = self.prefix);
        let mut words = vec![
            "--no-daemon".to_owned(),
            "--conf-file=/dev/null".into(),
            "--port=0".into(),
            "--interface=west".into(),
            "--bind-interfaces".into(),
            "--dhcp-authoritative".into(),
            "--no-ping".into(),
            "--log-dhcp".into(),
            "--log-facility=-".into(),
            "--user=root".into(),
            format!("--pid-file={}", self.dir.path("pid")),
            format!("--dhcp-leasefile={leases}"),
            range,
        ];
        words.extend(more.iter().map(|m| (*m).to_owned()));
        self.start("dnsmasq", &words)
    }

    /// busybox's udhcpd (a packet socket of its own, another implementation), giving out PREFIX.FIRST.
    pub fn udhcpd(&self, first: u8, more: &str) -> Server {
        let mask = if more.contains("subnet") { "" } else { "option subnet 255.255.255.0\n" };
        let (p, leases) = (self.prefix, self.dir.file("udhcpd.leases", ""));
        let pid = self.dir.path("udhcpd.pid");
        let text = format!(
            "start {p}.{first}\nend {p}.{first}\ninterface west\nlease_file {leases}\npidfile {pid}\n{mask}{more}\n"
        );
        let conf = self.dir.file("udhcpd.conf", text);
        self.start("busybox", &["udhcpd".into(), "-f".into(), conf])
    }

    fn start(&self, program: &str, words: &[String]) -> Server {
        let log = std::fs::File::create(self.dir.path("server.log")).unwrap();
        let command = &mut self.server.command("setpriv", &["--pdeathsig", "KILL", "--", program]);
        command.args(words).stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
        let server = Server(command.spawn().unwrap());
        until("the DHCP server listens", || {
            let listens = self.server.sh("ss -Hulnp sport = 67; ss -H0lnp");
            listens.contains(program)
        });
        server
    }

    /// What the server has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path("server.log")).unwrap()
    }

    /// ipconfig on our link, with /etc and the hostname its own.
    pub fn command(&self, args: &[&str]) -> Command {
        let resolv = self.resolv();
        let mut words = vec![
            "--uts",
            "sh",
            "-c",
            "echo \"${START:-(none)}\" >/proc/sys/kernel/hostname; \"$@\"; c=$?; hostname >\"$NAME\"; exit $c",
            "sh",
        ];
        let binary = binary();
        words.extend([binary.to_str().unwrap(), "ipconfig", "--resolv-conf", &resolv]);
        words.extend(args);
        let mut command = self.client.command("unshare", &words);
        command.env("NAME", self.dir.path("hostname"));
        command
    }

    pub fn resolv(&self) -> String {
        self.dir.path("resolv.conf")
    }

    pub fn run(&self, args: &[&str]) -> Done {
        super::finish(&mut self.command(args))
    }

    /// The same in the background.
    pub fn spawn(&self, args: &[&str]) -> Running {
        let log = std::fs::File::create(self.dir.path("kboot.log")).unwrap();
        let binary = binary();
        let resolv = self.resolv();
        let mut words =
            vec!["--pdeathsig", "KILL", "--", binary.to_str().unwrap(), "ipconfig", "--resolv-conf", &resolv];
        words.extend(args);
        let mut command = self.client.command("setpriv", &words);
        Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    pub fn kboot_log(&self) -> String {
        std::fs::read_to_string(self.dir.path("kboot.log")).unwrap()
    }

    pub fn hostname(&self) -> String {
        std::fs::read_to_string(self.dir.path("hostname")).unwrap().trim().to_owned()
    }

    /// The link's IPv4 addresses, as ip shows them.
    pub fn addresses(&self) -> Vec<String> {
        let shown = self.client.ip("-4 addr show dev uplink");
        let infos = shown
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|l| l["addr_info"].as_array().cloned().unwrap_or_default());
        infos.map(|a| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"])).collect()
    }

    /// The routes over it, a line each, as `ip route` shows them.
    pub fn routes(&self) -> Vec<String> {
        self.client
            .sh("ip route show dev uplink")
            .lines()
            .map(|l| l.replace(" proto static", "").trim().to_owned())
            .collect()
    }
}

/// ipconfig --keep.
pub struct Running(Child);

impl Running {
    pub fn kill(mut self) {
        self.0.kill().unwrap();
    }

    /// Waits for its end.
    pub fn end(mut self) -> Done {
        let child = std::mem::replace(&mut self.0, Command::new("true").spawn().unwrap());
        collect(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
