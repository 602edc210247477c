//! The config that is asked for, from a file or from options, judged before etcd is asked anything.

use serde_json::{Map, Value};

use super::Args;
use crate::applet::report::Report;
use crate::error::{Error, Result};
use crate::plan::network::compose::{Fields, compose};
use crate::plan::network::judge::{Surroundings, by_itself};
use crate::plan::network::{self, NetworkConfig, is_secret};
use crate::sys::file;
use crate::sys::wait::Deadline;
use crate::types::Cidr;

/// Reads and judges the config; `None` where none is asked for. What is wrong with it is exit 2.
pub fn read(args: &Args, deadline: &Deadline, report: &mut Report) -> Result<Option<NetworkConfig>> {
    if args.file.is_some() && has_fields(args) {
        return Err(Error::usage(
            "--subnet-len, --subnet-min, --subnet-max, their --ipv6- fellows and --backend go with --network, not with --file",
        ));
    }
    if args.network.is_none() && has_fields(args) {
        return Err(Error::usage(
            "--subnet-len, --subnet-min, --subnet-max, --ipv6-network and --backend go with --network",
        ));
    }
    let (name, text) = match (&args.file, args.network) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(Error::usage("--file and --network are both given: one config comes from one place"));
        }
        (Some(path), None) if path.as_os_str() == "-" => ("stdin".to_owned(), file::read_stdin(deadline)?),
        (Some(path), None) => (path.display().to_string(), file::read_named(path)?),
        (None, Some(network)) => ("--network".to_owned(), compose(&fields(args, network)?)),
    };
    let version = args.rules();
    let config = network::parse(&text, version).map_err(|why| Error::usage(format!("{name}: {why}")))?;
    let around =
        Surroundings { services: &args.service_cidr, nodes: args.nodes, allow_unknown: args.allow_unknown };
    let warnings = by_itself(&config, &around)
        .map_err(|why| Error::usage(if why.starts_with("--") { why } else { format!("{name}: {why}") }))?;
    for warning in warnings {
        report.warn(format!("{name}: {warning}"));
    }
    let effective = config.effective().into_iter();
    let effective: Map<String, Value> = effective.filter(|(path, _)| !is_secret(path)).collect();
    report.found("effective", Value::Object(effective));
    report.found("hosts", Value::from(u64::try_from(config.hosts()).unwrap_or(u64::MAX)));
    Ok(Some(config))
}

fn has_fields(args: &Args) -> bool {
    args.subnet_len.is_some()
        || args.subnet_min.is_some()
        || args.subnet_max.is_some()
        || has_ipv6_fields(args)
        || args.ipv6_network.is_some()
        || args.backend.is_some()
        || !args.backend_option.is_empty()
}

fn has_ipv6_fields(args: &Args) -> bool {
    args.ipv6_subnet_len.is_some() || args.ipv6_subnet_min.is_some() || args.ipv6_subnet_max.is_some()
}

fn fields(args: &Args, network: Cidr) -> Result<Fields> {
    if args.backend.is_none() && !args.backend_option.is_empty() {
        return Err(Error::usage("--backend-option goes with --backend"));
    }
    if args.ipv6_network.is_none() && has_ipv6_fields(args) {
        return Err(Error::usage("--ipv6-subnet-len, -min and -max go with --ipv6-network"));
    }
    let mut backend_options = Vec::new();
    for option in &args.backend_option {
        match option.split_once('=') {
            Some((key, _)) if is_secret(key) => {
                return Err(Error::usage(format!(
                    "--backend-option {key}: a secret is no option's: give it with --file"
                )));
            }
            Some((key, _))
                if backend_options.iter().any(|(k, _): &(String, String)| k.eq_ignore_ascii_case(key)) =>
            {
                return Err(Error::usage(format!("--backend-option {key}: is given twice")));
            }
            Some((key, value)) if !key.is_empty() => backend_options.push((key.to_owned(), value.to_owned())),
            _ => return Err(Error::usage(format!("--backend-option {option}: is not K=V"))),
        }
    }
    Ok(Fields {
        network: network.network().to_string(),
        subnet_len: args.subnet_len,
        subnet_min: args.subnet_min,
        subnet_max: args.subnet_max,
        ipv6_network: args.ipv6_network.map(|c| c.network().to_string()),
        ipv6_subnet_len: args.ipv6_subnet_len,
        ipv6_subnet_min: args.ipv6_subnet_min,
        ipv6_subnet_max: args.ipv6_subnet_max,
        backend: args.backend.clone(),
        backend_options,
    })
}
