//! A runtime's part of CNI, as libcni does it: takes a list of plugins apart and runs the real plugins,
//! one after the other, each with what the one before it said.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::host::Host;
use super::{finish, need, root_user, skip};

/// Where Debian's containernetworking-plugins are.
pub const PLUGINS: &str = "/usr/lib/cni";

/// Whether there is what it needs.
pub fn can_run() -> bool {
    let has = |name: &str| Path::new(PLUGINS).join(name).exists();
    let all = ["bridge", "host-local", "portmap", "bandwidth"].into_iter().all(has);
    if !all {
        skip("needs the CNI plugins (scripts/peers cni)");
    }
    all && root_user() && need("ip", "tools").is_some() && need("iptables", "iptables").is_some()
}

/// A host with a runtime that has read a list.
pub struct Runtime<'h> {
    host: &'h Host,
    list: Value,
}

/// A pod, and what the plugins said of it.
pub struct Pod<'h> {
    host: &'h Host,
    pub name: String,
    ports: Value,
    pub result: Value,
}

impl<'h> Runtime<'h> {
    pub fn new(host: &'h Host, list: &str) -> Self {
        Self { host, list: serde_json::from_str(list).unwrap() }
    }

    /// A new pod with these host ports; the error is what a plugin said.
    pub fn add(&self, name: &str, ports: &Value) -> Result<Pod<'h>, String> {
        self.host.sh(&format!("mkdir -p /run/netns && ip netns add {name}"));
        let mut pod = Pod { host: self.host, name: name.into(), ports: ports.clone(), result: Value::Null };
        for plugin in self.plugins() {
            pod.result = self.call("ADD", plugin, &pod)?;
        }
        Ok(pod)
    }

    /// Whether the plugins find it as they left it.
    pub fn check(&self, pod: &Pod<'_>) -> Result<(), String> {
        self.plugins().iter().try_for_each(|plugin| self.call("CHECK", plugin, pod).map(drop))
    }

    /// The pod goes.
    pub fn del(&self, pod: &Pod<'_>) {
        for plugin in self.plugins().iter().rev() {
            self.call("DEL", plugin, pod).unwrap();
        }
        self.host.sh(&format!("ip netns del {}", pod.name));
    }

    fn plugins(&self) -> &Vec<Value> {
        self.list["plugins"].as_array().unwrap()
    }

    fn call(&self, command: &str, plugin: &Value, pod: &Pod<'_>) -> Result<Value, String> {
        let mut conf = plugin.clone();
        let version = self.list["cniVersion"].as_str().unwrap();
        conf["name"] = self.list["name"].clone();
        conf["cniVersion"] = version.into();
        // What a runtime knows of a pod goes to the plugins that can do something with it.
        let known = [("portMappings", &pod.ports), ("bandwidth", &BANDWIDTH.parse::<Value>().unwrap())]
            .map(|(name, value)| (name, value.clone()));
        for (name, value) in known {
            if plugin["capabilities"][name] == true {
                conf["runtimeConfig"][name] = value;
            }
        }
        if !pod.result.is_null() && (command == "ADD" || version >= "0.4.0") {
            conf["prevResult"] = pod.result.clone();
        }
        let kind = plugin["type"].as_str().unwrap();
        self.host.sh(&format!("cat >/run/conf.json <<'END'\n{conf}\nEND"));
        let line = format!("exec {PLUGINS}/{kind} </run/conf.json");
        let mut shell = self.host.command("sh", &["-c", &line]);
        shell.env("CNI_COMMAND", command).env("CNI_PATH", PLUGINS).env("CNI_IFNAME", "eth0");
        shell.env("CNI_CONTAINERID", &pod.name).env("CNI_NETNS", format!("/run/netns/{}", pod.name));
        let done = finish(&mut shell);
        match done.code {
            0 if command == "ADD" => Ok(done.json()),
            0 => Ok(Value::Null),
            _ => Err(format!("{kind}: {}", done.json()["msg"].as_str().unwrap_or_default())),
        }
    }
}

/// As of a pod with the annotation kubernetes.io/egress-bandwidth: 8M.
const BANDWIDTH: &str = r#"{"egressRate": 8000000, "egressBurst": 8000000}"#;

/// No host ports.
pub fn no_ports() -> Value {
    json!([])
}

impl Pod<'_> {
    pub fn netns(&self) -> PathBuf {
        self.host.file(&format!("/run/netns/{}", self.name))
    }

    /// Its addresses, IPv4 first, read from its own link.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let link = &self.ip("addr show eth0")[0];
        let all = link["addr_info"].as_array().unwrap().iter().filter(|a| a["scope"] == "global");
        all.map(|a| a["local"].as_str().unwrap().parse().unwrap()).collect()
    }

    /// `ip -j` inside.
    pub fn ip(&self, args: &str) -> Value {
        self.host.sh(&format!("ip netns exec {} ip -j {args}", self.name)).parse().unwrap()
    }

    /// The other end of its cable.
    pub fn port(&self) -> &str {
        let links = self.result["interfaces"].as_array().unwrap().iter();
        let ends = links.filter(|l| l["sandbox"].as_str().unwrap_or_default().is_empty());
        ends.map(|l| l["name"].as_str().unwrap()).find(|n| n.starts_with("veth")).unwrap()
    }
}
