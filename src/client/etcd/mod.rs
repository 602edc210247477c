//! etcd by its v2 API and by the JSON gateway of its v3 API, over several endpoints.

mod v2;
mod v3;

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::sys::http::{Client, Response, Tls};
use crate::sys::wait::{Deadline, Retry, retry};
use crate::types::Url;

pub use v2::V2;
pub use v3::V3;

/// The longest that all members together may take for one round (but for a second that each gets).
const LONGEST_ATTEMPT: Duration = Duration::from_secs(10);

/// A value and the revision that guards its replacement.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The bytes.
    pub value: Vec<u8>,
    /// v2's modifiedIndex, v3's mod_revision.
    pub revision: u64,
    /// How long it stays.
    pub lasts: Lasts,
}

/// How long an entry lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// Until it is taken away.
    ForGood,
    /// For so many seconds more.
    Seconds(u64),
    /// As long as this lease of the v3 API: `KeyValue::seconds` asks.
    Lease(i64),
}

/// One entry of a listing.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its whole key.
    pub key: String,
    /// What it holds.
    pub stored: Stored,
}

/// What became of a guarded write.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// It is written.
    Yes,
    /// Another value was there first, or an earlier attempt of ours had arrived.
    Lost,
}

/// One API of an etcd.
pub trait KeyValue {
    /// `v2` or `v3`.
    fn name(&self) -> &'static str;
    /// Reads a key.
    fn read(&self, key: &str) -> Result<Option<Stored>>;
    /// All keys below a directory, in the state of one moment.
    fn list(&self, directory: &str) -> Result<Vec<Entry>>;
    /// The seconds that each entry has left; `None`: it stays.
    fn seconds(&self, entries: &[Entry]) -> Result<Vec<Option<u64>>>;
    /// Writes a key that must not exist; it stays until it is taken away.
    fn create(&self, key: &str, value: &[u8]) -> Result<Written>;
    /// Replaces the value of that revision; it stays until it is taken away.
    fn swap(&self, key: &str, revision: u64, value: &[u8]) -> Result<Written>;
}

/// The members of one etcd. Requests go to the one that answered last, then to the others.
pub struct Cluster {
    members: Vec<Client>,
    current: Cell<usize>,
    deadline: Deadline,
    user: Option<(String, String)>,
    v3_token: RefCell<Option<String>>,
}

impl Cluster {
    /// With at least one endpoint; `user` is a name and a password.
    pub fn new(
        endpoints: &[Url],
        tls: &Tls,
        user: Option<(String, String)>,
        deadline: Deadline,
    ) -> Result<Self> {
        let members: Result<Vec<Client>> = endpoints.iter().map(|url| Client::new(url, tls)).collect();
        Ok(Self { members: members?, current: Cell::new(0), deadline, user, v3_token: RefCell::new(None) })
    }

    /// The endpoints, for messages.
    pub fn shown(&self) -> String {
        self.members.iter().map(|m| m.base().to_string()).collect::<Vec<_>>().join(",")
    }

    /// The same members once more, for another thread.
    fn another(&self) -> Self {
        Self {
            members: self.members.clone(),
            current: self.current.clone(),
            deadline: self.deadline,
            user: self.user.clone(),
            v3_token: self.v3_token.clone(),
        }
    }

    fn forget_token(&self) {
        *self.v3_token.borrow_mut() = None;
    }

    fn authorize_v3(&self, token: &str) {
        *self.v3_token.borrow_mut() = Some(token.to_owned());
    }

    /// Each API has a user store of its own: v2 takes Basic, v3 the token it gave.
    fn authorization(&self, path: &str) -> Option<String> {
        if path.starts_with("/v2/") {
            return self.user.as_ref().map(|(name, password)| v2::authorization(name, password));
        }
        self.v3_token.borrow().clone()
    }

    /// One request to whichever member answers. 5xx counts as no answer: no leader, or shutting down.
    fn send(&self, method: &str, path: &str, content: Option<(&str, &[u8])>) -> Result<Response> {
        let what = format!("etcd at {}", self.shown());
        let authorization = self.authorization(path);
        retry(&self.deadline, &what, || {
            let mut reasons = Vec::new();
            let end = Instant::now() + self.deadline.attempt(LONGEST_ATTEMPT);
            let mut hopeless = 0;
            for turn in 0..self.members.len() {
                // One that hangs must leave the others their turn.
                let waiting = u32::try_from(self.members.len() - turn).unwrap_or(1);
                let share = end.saturating_duration_since(Instant::now()) / waiting;
                let at = (self.current.get() + turn) % self.members.len();
                match self.members[at].send_as(authorization.as_deref(), method, path, content, share) {
                    Ok(answer) if answer.status < 500 && answer.status != 429 => {
                        self.current.set(at);
                        return Ok(answer);
                    }
                    Ok(answer) => reasons.push(format!("HTTP status {}: {}", answer.status, words(&answer))),
                    Err(failure) => {
                        hopeless += usize::from(!failure.passing);
                        reasons.push(failure.why);
                    }
                }
            }
            reasons.dedup();
            let why = reasons.join("; ");
            if hopeless == self.members.len() {
                return Err(Retry::Never(Error::failed(format!("{what}: {why}"))));
            }
            Err(Retry::Later { why, after: None })
        })
    }

    fn unexpected(&self, answer: &Response) -> Error {
        let (status, text) = (answer.status, words(answer));
        let hint = match status {
            _ if is_refused_name(answer) => {
                ": while users are on, its v3 API by HTTP takes no client certificate with a CN: one without, and --user"
            }
            401 | 403 => ": --user, --password-file?",
            400 if text.contains("user name is empty") => ": --user, --password-file?",
            400 if text.contains("invalid user ID or password") => " (--user, --password-file)",
            _ => "",
        };
        Error::failed(format!("etcd at {}: HTTP status {status}: {text}{hint}", self.shown()))
    }
}

/// etcd's gateway would take a certificate's CN for its own, and refuses it in plain text.
fn is_refused_name(answer: &Response) -> bool {
    answer.status == 400 && String::from_utf8_lossy(&answer.body).contains("CommonName of client")
}

/// Those of the APIs asked for that a cluster serves, v2 first. flannel up to 0.17 reads v2 only,
/// later ones v3 only, and etcd's version says nothing about which flannel there is.
pub fn served(cluster: &Cluster, v2: bool, v3: bool) -> Result<Vec<Box<dyn KeyValue + '_>>> {
    let mut found: Vec<Box<dyn KeyValue + '_>> = Vec::new();
    if let Some(api) = v2.then(|| V2::probe(cluster)).transpose()?.flatten() {
        found.push(Box::new(api));
    }
    if let Some(api) = v3.then(|| V3::probe(cluster)).transpose()?.flatten() {
        found.push(Box::new(api));
    }
    Ok(found)
}

fn words(answer: &Response) -> String {
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = json["message"].as_str().or(json["error"].as_str()).map(str::to_owned);
    let text = text.unwrap_or_else(|| String::from_utf8_lossy(&answer.body).into_owned());
    if text.trim().is_empty() { "without a word".into() } else { text.chars().take(200).collect() }
}
