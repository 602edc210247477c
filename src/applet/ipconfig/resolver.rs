//! What is the host's, not a link's: name servers, its name.

use std::net::IpAddr;

use super::{Run, take};
use crate::error::Result;
use crate::plan::ipconfig::{Step, is_nameless, resolv_conf};
use crate::sys::{file, hostname};

/// What all sources say together.
#[derive(Default)]
pub struct Known {
    dns: Vec<IpAddr>,
    pub search: Vec<String>,
    /// And whether the operator gave it: a server's is taken where there is none.
    pub hostname: Option<(String, bool)>,
}

/// As many as resolvers read (MAXNS of resolv.h).
const MOST: usize = 3;

impl Known {
    pub fn add_dns(&mut self, servers: impl Iterator<Item = IpAddr>) {
        for server in servers {
            if !self.dns.contains(&server) && self.dns.len() < MOST {
                self.dns.push(server);
            }
        }
    }

    pub fn add_search(&mut self, domains: &[String]) {
        for domain in domains {
            if !self.search.contains(domain) {
                self.search.push(domain.clone());
            }
        }
    }
}

/// Writes them. A host whose /etc cannot be written has its network all the same.
pub fn settle(run: &mut Run<'_>) -> Result<()> {
    if let Some(text) = resolv_conf(&run.known.search, &run.known.dns) {
        let path = run.resolv_conf().to_owned();
        if file::read_if_there(&path).is_ok_and(|old| old.is_some_and(|old| old == text.as_bytes())) {
            run.report.already(1);
        } else {
            let step = Step::Resolver(path.display().to_string(), text);
            match take::carry_out(run, &[step]) {
                Err(error) if run.args.resolv_conf.is_none() => run.report.warn(error.to_string()),
                other => other?,
            }
        }
    }
    let Some((name, is_given)) = run.known.hostname.clone() else { return Ok(()) };
    let present = hostname::get();
    match () {
        () if present == name => run.report.already(1),
        () if is_given || is_nameless(&present) => take::carry_out(run, &[Step::Hostname(name)])?,
        () => {}
    }
    Ok(())
}
