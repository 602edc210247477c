//! `--wait-ready`: the Node followed until it is Ready.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::kube::{Kube, Watched};
use crate::error::{Context, Error, Result};
use crate::plan::node::{complaints, is_ready};
use crate::sys::log;
use crate::sys::wait::{Deadline, Retry, retry};

/// After a stream that lasted so long the next begins without a pause.
const LASTED: Duration = Duration::from_secs(5);

/// The Node as it was seen last.
struct Watch<'w> {
    name: String,
    uid: Value,
    version: String,
    is_ready: bool,
    complaints: String,
    kube: &'w Kube<'w>,
}

/// Waits until the Node is Ready; tells each change of what keeps it from that.
pub fn wait(kube: &Kube<'_>, node: &Value, deadline: &Deadline) -> Result<()> {
    let started = Instant::now();
    let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
    let (name, uid) = (text(&node["metadata"]["name"]), node["metadata"]["uid"].clone());
    let mut watch =
        Watch { name, uid, version: String::new(), is_ready: false, complaints: String::new(), kube };
    watch.see(node);
    let (mut may_watch, mut is_fresh) = (true, true);
    let what = format!("node {}", watch.name);
    retry(deadline, &what, || {
        loop {
            if !std::mem::take(&mut is_fresh) {
                watch.look()?;
            }
            if watch.is_ready {
                return Ok(());
            }
            let begun = Instant::now();
            if may_watch && !deadline.passed() {
                may_watch = watch.follow()?;
            }
            if watch.is_ready {
                return Ok(());
            }
            if begun.elapsed() < LASTED || deadline.passed() {
                return Err(Retry::Later { why: watch.complaints.clone(), after: None });
            }
        }
    })?;
    log::info!("{what} is Ready ({} s)", started.elapsed().as_secs());
    Ok(())
}

impl Watch<'_> {
    fn see(&mut self, node: &Value) -> bool {
        node["metadata"]["resourceVersion"].as_str().unwrap_or_default().clone_into(&mut self.version);
        self.is_ready = is_ready(node);
        let complaints = complaints(node);
        if complaints != self.complaints && !complaints.is_empty() {
            log::info!("node {}: {complaints}", self.name);
        }
        self.complaints = complaints;
        self.is_ready
    }

    /// Looks anew.
    fn look(&mut self) -> Result<()> {
        let node =
            self.kube.node(&self.name).context(format_args!("node {}: {}", self.name, self.complaints))?;
        let same = node.filter(|n| n["metadata"]["uid"] == self.uid).ok_or_else(|| self.deleted())?;
        self.see(&same);
        Ok(())
    }

    /// Follows it to the end of one watch. Whether another is worth a try.
    fn follow(&mut self) -> Result<bool> {
        let (name, version, kube) = (self.name.clone(), self.version.clone(), self.kube);
        match kube.watch_node(&name, &version, &mut |node| self.see(node)) {
            Watched::Enough | Watched::Ended => Ok(true),
            Watched::Deleted => Err(self.deleted()),
            Watched::Refused(why) => {
                log::info!("node {name} is asked for again and again, since it cannot be watched: {why}");
                Ok(false)
            }
        }
    }

    fn deleted(&self) -> Error {
        Error::failed(format!("node {} was deleted while it was waited for: run register again", self.name))
    }
}
