//! What is the host's, not a link's: name servers, its name.

use std::net::IpAddr;

use super::{Run, take};
use crate::error::Result;
use crate::plan::ipconfig::{Step, is_nameless, resolv_conf};
use crate::sys::{file, hostname};

/// What all sources say together, those of one link in one piece: its next lease may say something else.
#[derive(Default)]
pub struct Known {
    said: Vec<(u32, Vec<IpAddr>, Vec<String>)>,
    /// And whether the operator gave it: a server's is taken where there is none.
    pub hostname: Option<(String, bool)>,
}

/// Who says what is of no link.
pub const OPERATOR: u32 = 0;
/// As many as resolvers read (MAXNS of resolv.h).
const MOST: usize = 3;

impl Known {
    /// Name servers and domains of a link, in place of what it said before; the operator adds.
    pub fn say(&mut self, link: u32, dns: Vec<IpAddr>, search: Vec<String>) {
        match self.said.iter_mut().find(|(other, ..)| *other == link && link != OPERATOR) {
            Some(said) => *said = (link, dns, search),
            None => self.said.push((link, dns, search)),
        }
    }

    fn file(&self) -> Option<String> {
        let (mut dns, mut search) = (Vec::new(), Vec::new());
        for (_, servers, domains) in &self.said {
            dns.extend(servers.iter().copied());
            search.extend(domains.iter().cloned());
        }
        let mut seen = Vec::new();
        dns.retain(|server| {
            !seen.contains(server) && {
                seen.push(*server);
                seen.len() <= MOST
            }
        });
        let mut seen = Vec::new();
        search.retain(|domain| {
            !seen.contains(domain) && {
                seen.push(domain.clone());
                true
            }
        });
        resolv_conf(&search, &dns)
    }
}

/// Writes them. A host whose /etc cannot be written has its network all the same.
pub fn settle(run: &mut Run<'_>) -> Result<()> {
    if let Some(text) = run.known.file() {
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
