//! One Node as it changes.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use serde_json::Value;

use super::{Kube, busy, status_words, words};
use crate::sys::http::{Answer, Stream};
use crate::sys::log;

/// The longest that a server goes on with one watch; after it the Node is looked at again, which also
/// finds out about a server that is gone without a word.
const LONGEST: Duration = Duration::from_mins(1);

/// What a server may be late by in ending a watch.
const GRACE: Duration = Duration::from_secs(5);

/// No Node is larger (etcd's own limit is 1.5 MiB).
const LONGEST_EVENT: u64 = 10 << 20;

/// How a watch ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Watched {
    /// `see` had seen enough.
    Enough,
    /// The Node was deleted.
    Deleted,
    /// The stream ended or broke, or begins too far back (410 Gone): to be begun again from a new look.
    Ended,
    /// The server does not let these credentials watch, in its words.
    Refused(String),
}

impl Kube<'_> {
    /// Shows each new state of a Node to `see`, from a resourceVersion on, until that says that it is
    /// enough. A broken stream is no error.
    pub fn watch_node(&self, name: &str, version: &str, see: &mut dyn FnMut(&Value) -> bool) -> Watched {
        let seconds = LONGEST.as_secs();
        let path = format!(
            "/api/v1/nodes?watch=true&fieldSelector=metadata.name%3D{name}&resourceVersion={version}&timeoutSeconds={seconds}"
        );
        match self.client.stream(&path, self.deadline.attempt(LONGEST + GRACE)) {
            Ok(Answer::Stream(stream)) => follow(stream, see),
            // What is for later (429, 5xx), and a version that is too old.
            Ok(Answer::Whole(answer)) if busy(&answer).is_some() || answer.status == 410 => {
                ended(&status_words(&answer))
            }
            Ok(Answer::Whole(answer)) => Watched::Refused(words(&answer)),
            Err(failure) => ended(&failure.why),
        }
    }
}

/// One event a line, as every API server writes them.
fn follow(stream: Stream, see: &mut dyn FnMut(&Value) -> bool) -> Watched {
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let read = (&mut lines).take(LONGEST_EVENT).read_until(b'\n', &mut line);
        let event = match read.map(|_| serde_json::from_slice::<Value>(&line)) {
            Ok(Ok(event)) => event,
            Ok(Err(error)) => return ended(&error),
            Err(error) => return ended(&error),
        };
        let object = &event["object"];
        match event["type"].as_str() {
            Some("DELETED") => return Watched::Deleted,
            Some("ERROR") => return ended(&object["message"]),
            Some("ADDED" | "MODIFIED") if see(object) => return Watched::Enough,
            // BOOKMARK tells a version and nothing else.
            _ => {}
        }
    }
}

fn ended(why: &dyn Display) -> Watched {
    log::debug!("watch: {why}");
    Watched::Ended
}
