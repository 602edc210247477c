//! docker's API: whether it answers, and what it says of its default network.

use std::time::Duration;

use serde_json::Value;

use crate::error::Result;
use crate::sys::http::{Client, Tls};
use crate::sys::log;
use crate::sys::wait::{Deadline, Retry, retry};
use crate::types::{Cidr, Url};

/// dockerd answers these at once, or hangs.
const LONGEST: Duration = Duration::from_secs(2);

/// The network that containers are on unless told otherwise.
#[derive(Debug, PartialEq, Eq)]
pub struct DefaultNetwork {
    /// Its bridge; `none` when dockerd was told to have none, `None` before docker 1.9, which does not say.
    pub bridge: Option<String>,
    /// Its subnets.
    pub subnets: Vec<Cidr>,
    /// Its containers' MTU in bytes, if one was set.
    pub mtu: Option<u32>,
    /// The names of the running containers on it; before docker 1.8 those of all.
    pub containers: Vec<String>,
}

/// What docker says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// `cgroupfs` or `systemd`; before docker 1.10 it does not say.
    pub cgroup_driver: Option<String>,
    /// Where its images and containers are.
    pub root: Option<String>,
}

/// `GET /info`, for 10 s at the most, for it counts all containers and images; the error says why there is
/// no answer.
pub fn info(url: &Url) -> Result<Info, String> {
    let client = client(url).map_err(|e| e.to_string())?;
    let answer = client.send_as(None, "GET", "/info", None, 5 * LONGEST).map_err(|failure| failure.why)?;
    if answer.status != 200 {
        return Err(format!("HTTP status {}", answer.status));
    }
    let info = parsed(&String::from_utf8_lossy(&answer.body));
    let text = |key: &str| info[key].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    Ok(Info { cgroup_driver: text("CgroupDriver"), root: text("DockerRootDir") })
}

/// Waits until dockerd answers (`GET /_ping`, in every version).
pub fn wait_until_it_answers(url: &Url, deadline: &Deadline) -> Result<()> {
    let client = client(url)?;
    retry(deadline, &format!("docker at {url}"), || {
        let answer = client.send("GET", "/_ping", None, deadline).map_err(Retry::from)?;
        match answer.status {
            200 => Ok(()),
            status => Err(Retry::Later { why: format!("HTTP status {status}"), after: None }),
        }
    })
}

/// Asks for the default network, 2 s for each of two answers; `None` without an answer. Not to be called
/// when no dockerd runs: systemd's docker.socket would start one.
pub fn default_network(url: &Url) -> Result<Option<DefaultNetwork>> {
    let client = client(url)?;
    // Without a version in the path, which every docker takes for its own.
    let answers = ask(&client, "/networks/bridge").zip(ask(&client, "/containers/json"));
    let Some(((status, network), (200, containers))) = answers else { return Ok(None) };
    let network = match (status, network.contains("network")) {
        (200, _) => parsed(&network),
        // "network bridge not found", of docker 1.9 and later with --bridge=none.
        (404, true) => serde_json::json!({ "Options": { "com.docker.network.bridge.name": "none" } }),
        // "404 page not found": 1.8 and before.
        (404, false) => Value::Null,
        _ => return Ok(None),
    };
    Ok(Some(read(&network, &parsed(&containers))))
}

fn client(url: &Url) -> Result<Client> {
    Client::new(url, &Tls::default())
}

/// Status and body; `None` if none came.
fn ask(client: &Client, path: &str) -> Option<(u16, String)> {
    match client.send_as(None, "GET", path, None, LONGEST) {
        Ok(answer) => Some((answer.status, String::from_utf8_lossy(&answer.body).into_owned())),
        Err(failure) => {
            log::debug!("docker at {}: {}", client.base(), failure.why);
            None
        }
    }
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_default()
}

fn read(network: &Value, containers: &Value) -> DefaultNetwork {
    let option = |name: &str| network["Options"][format!("com.docker.network.{name}")].as_str();
    let subnets = network["IPAM"]["Config"].as_array().into_iter().flatten();
    let on_it = containers.as_array().into_iter().flatten().filter(|c| is_on_it(c));
    DefaultNetwork {
        bridge: option("bridge.name").map(str::to_owned),
        subnets: subnets.filter_map(|c| c["Subnet"].as_str()?.parse().ok()).collect(),
        mtu: option("driver.mtu").and_then(|m| m.parse().ok()),
        containers: on_it.map(name).collect(),
    }
}

/// By its networks (1.10 on) or its mode (1.8 on); where neither is told it may well be.
fn is_on_it(container: &Value) -> bool {
    match (&container["NetworkSettings"]["Networks"], container["HostConfig"]["NetworkMode"].as_str()) {
        (Value::Object(networks), _) => networks.contains_key("bridge"),
        (_, Some(mode)) => ["default", "bridge", ""].contains(&mode),
        (_, None) => true,
    }
}

/// `/web`, but not `/other/web`, which is what a linked container calls it.
fn name(container: &Value) -> String {
    let names = container["Names"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let own = names.filter_map(|n| n.strip_prefix('/')).find(|n| !n.contains('/'));
    own.or_else(|| container["Id"].as_str()?.get(..12)).unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_default_network_of_docker_20_10() {
        let network = json!({
            "Name": "bridge",
            "IPAM": { "Config": [{ "Subnet": "172.20.0.0/16" }, { "Subnet": "fd00:4:9::/64" }] },
            "Options": {
                "com.docker.network.bridge.name": "docker0",
                "com.docker.network.driver.mtu": "1450",
            },
        });
        let containers = json!([
            { "Names": ["/db"], "NetworkSettings": { "Networks": { "other": {} } }, "HostConfig": { "NetworkMode": "other" } },
            { "Names": ["/db/front", "/web"], "NetworkSettings": { "Networks": { "bridge": {} } } },
            { "Names": ["/pause"], "NetworkSettings": { "Networks": { "host": {} } } },
        ]);
        let found = read(&network, &containers);
        assert_eq!(
            (found.bridge.as_deref(), found.mtu, found.containers),
            (Some("docker0"), Some(1450), vec!["web".to_owned()])
        );
        assert_eq!(found.subnets, ["172.20.0.0/16".parse().unwrap(), "fd00:4:9::/64".parse().unwrap()]);
    }

    #[test]
    fn the_containers_of_older_dockers() {
        let containers = json!([
            { "Names": ["/a"], "HostConfig": { "NetworkMode": "default" } },
            { "Names": ["/b"], "HostConfig": { "NetworkMode": "host" } },
            { "Names": ["/c"] },
            { "Id": "2e2d2ef304f08abd951ba849b9a2123ff232cbca", "Names": null },
        ]);
        let found = read(&Value::Null, &containers);
        assert_eq!((found.bridge, found.mtu), (None, None));
        assert_eq!(found.containers, ["a", "c", "2e2d2ef304f0"]);
    }
}
