//! The node's name, by one rule for register and kubelet-launch: two names would be two Nodes.

use crate::error::{Error, Result};
use crate::plan::subnet_env::Lease;
use crate::sys::http::Tls;
use crate::sys::http::certificate::Certificate;
use crate::sys::log;
use crate::types::NodeName;

/// What the API server's node authorizer wants the certificate's CN to begin with.
const NODE_USER: &str = "system:node:";

/// The one in the CN of a node's client certificate.
pub fn of_certificate(tls: &Tls) -> Result<Option<String>> {
    let certificate = tls.client_certificate()?.and_then(|der| Certificate::read(&der));
    let name = certificate.and_then(|c| c.common_name);
    Ok(name.as_deref().and_then(|n| n.strip_prefix(NODE_USER)).map(str::to_owned))
}

/// The name that needs no lease: `--name`, else the CN of a node's client certificate.
pub fn known(given: Option<&NodeName>, tls: &Tls) -> Result<Option<NodeName>> {
    if let Some(name) = given {
        return Ok(Some(name.clone()));
    }
    let Some(name) = of_certificate(tls)? else { return Ok(None) };
    let name = name
        .parse()
        .map_err(|why| Error::usage(format!("the client certificate's CN {NODE_USER}{name}: {why}")))?;
    log::info!("node name {name} from the client certificate");
    Ok(Some(name))
}

/// Else the subnet's address (flannel's network + 1, which is the bridge's too); on a host with IPv6
/// only, whose addresses cannot be names, the hostname.
pub fn resolve(given: Option<&NodeName>, tls: &Tls, lease: &Lease) -> Result<NodeName> {
    if let Some(name) = known(given, tls)? {
        return Ok(name);
    }
    let name = match lease.subnet {
        Some(subnet) => subnet.host().addr().to_string(),
        None => nix::unistd::gethostname()?.to_string_lossy().trim().to_ascii_lowercase(),
    };
    name.parse().map_err(|why| Error::usage(format!("the hostname {name}: {why}: give --name")))
}
