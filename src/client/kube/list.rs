//! All Nodes, one at a time: a list of 5000 is 75 MB of JSON, of which a name and one or two networks
//! each are wanted.

use std::fmt;
use std::io::BufReader;
use std::time::{Duration, Instant};

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde_json::error::Category;

use super::{Kube, busy, words};
use crate::error::{Error, Result};
use crate::sys::http::{Answer, Stream};
use crate::sys::wait::{Retry, retry};

/// From the server's cache, in whatever version that is. (1.0 to 1.2 have none, and take no notice.)
const PATH: &str = "/api/v1/nodes?resourceVersion=0";

/// The longest that the first list may take; one more gets half of the time that is left.
const LONGEST: Duration = Duration::from_mins(1);

/// So many lists are begun that the server does not bring to an end.
const ATTEMPTS: usize = 2;

/// A failure that took so long is one of a server that is there.
const SILENCE: Duration = Duration::from_secs(1);

/// Gets a Node's name, podCIDR and podCIDRs; says whether to stop.
pub type See<'s> = &'s mut dyn FnMut(&str, &[String]) -> bool;

/// How a list ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Looked {
    /// Every Node was seen.
    Through,
    /// `see` said so.
    Stopped,
    /// The server does not show the list to these credentials, in its words.
    Refused(String),
    /// The server does not bring it to an end: why.
    Broken(String),
}

impl Kube<'_> {
    /// Shows every Node to `see`, in constant memory. A list that breaks off is begun once more; a server
    /// that is not there at all is waited for.
    pub fn look_through_nodes(&self, see: See<'_>) -> Result<Looked> {
        let what = self.client.base().to_string();
        let mut broken = 0;
        retry(self.deadline, &what, || {
            let begun = Instant::now();
            let answer = self.client.stream(PATH, self.share(broken));
            let is_there = answer.is_ok() || begun.elapsed() >= SILENCE;
            let looked = answer.map_err(Retry::from).and_then(|answer| self.read_list(answer, see));
            let Err(Retry::Later { why, after }) = looked else { return looked };
            broken += usize::from(is_there);
            let is_late = self.deadline.left().is_some_and(|left| after.unwrap_or_default() >= left);
            if is_there && (broken == ATTEMPTS || is_late) {
                return Ok(Looked::Broken(why));
            }
            Err(Retry::Later { why, after })
        })
    }

    /// The time for one list, of which something is left for what comes after it.
    fn share(&self, broken: usize) -> Duration {
        if self.deadline.is_once() {
            return LONGEST;
        }
        let half = self.deadline.left().map(|left| left / 2);
        let most = if broken == 0 { LONGEST } else { LONGEST * 10 };
        half.map_or(most, |half| half.min(most))
    }

    fn read_list(&self, answer: Answer, see: See<'_>) -> Result<Looked, Retry> {
        match answer {
            Answer::Stream(stream) => self.look_through(stream, see),
            Answer::Whole(answer) if answer.status == 403 => Ok(Looked::Refused(words(&answer))),
            Answer::Whole(answer) => Err(busy(&answer).unwrap_or_else(|| self.unexpected(&answer).into())),
        }
    }

    fn look_through(&self, mut stream: Stream, see: See<'_>) -> Result<Looked, Retry> {
        let mut stopped = false;
        let mut reader =
            serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 16, &mut stream));
        let see = &mut |name: &str, cidrs: &[String]| {
            stopped |= see(name, cidrs);
            stopped
        };
        let walk = Walk { place: Place::List, node: &mut Node::default(), see };
        let read = walk.deserialize(&mut reader).and_then(|()| reader.end());
        drop(reader);
        match read {
            Ok(()) => Ok(Looked::Through),
            Err(_) if stopped => Ok(Looked::Stopped),
            Err(e) => Err(match e.classify() {
                Category::Io => self.client.broken(&stream, e.into()).into(),
                Category::Eof => Retry::Later { why: "its list of Nodes broke off".into(), after: None },
                Category::Syntax | Category::Data => Retry::Never(Error::failed(format!(
                    "{}: its list of Nodes cannot be read: {e}",
                    self.client.base()
                ))),
            }),
        }
    }
}

#[derive(Default)]
struct Node {
    name: String,
    pod_cidrs: Vec<String>,
}

/// Where in the list a value stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    List,
    Items,
    Node,
    Metadata,
    Name,
    Spec,
    PodCidr,
}

/// Reads the value at a place; what is not wanted is skipped. One type for all places: serde makes a copy of
/// its code for each.
struct Walk<'w, 's> {
    place: Place,
    node: &'w mut Node,
    see: &'w mut (dyn FnMut(&str, &[String]) -> bool + 's),
}

impl<'s> Walk<'_, 's> {
    fn to(&mut self, place: Place) -> Walk<'_, 's> {
        Walk { place, node: self.node, see: self.see }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of Nodes")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        match self.place {
            Place::Name => text.clone_into(&mut self.node.name),
            Place::PodCidr => self.node.pod_cidrs.push(text.to_owned()),
            _ => return Err(E::invalid_type(Unexpected::Str(text), &self)),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let inner = if self.place == Place::Items { Place::Node } else { self.place };
        while list.next_element_seed(self.to(inner))?.is_some() {
            if inner == Place::Node {
                if (self.see)(&self.node.name, &self.node.pod_cidrs) {
                    return Err(A::Error::custom("enough"));
                }
                *self.node = Node::default();
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let place = match (self.place, key.as_str()) {
                (Place::List, "items") => Place::Items,
                (Place::Node, "metadata") => Place::Metadata,
                (Place::Node, "spec") => Place::Spec,
                (Place::Metadata, "name") => Place::Name,
                (Place::Spec, "podCIDR" | "podCIDRs") => Place::PodCidr,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            map.next_value_seed(self.to(place))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> (Vec<String>, Result<(), serde_json::Error>) {
        let mut seen = Vec::new();
        let mut see = |name: &str, cidrs: &[String]| {
            seen.push(format!("{name}={}", cidrs.join(",")));
            name == "stop"
        };
        let mut reader = serde_json::Deserializer::from_reader(text.as_bytes());
        let walk = Walk { place: Place::List, node: &mut Node::default(), see: &mut see };
        let read = walk.deserialize(&mut reader).and_then(|()| reader.end());
        (seen, read)
    }

    #[test]
    fn names_and_networks_are_picked_out() {
        let (seen, read) = seen(
            r#"{"kind":"NodeList","metadata":{"name":"no"},"items":[
            {"metadata":{"name":"a","labels":{"name":"no"}},"spec":{"podCIDR":"10.1.0.0/24","podCIDRs":["10.1.0.0/24","fd00::/64"]},"status":{"spec":{"podCIDR":"no"}}},
            {"spec":{"podCIDR":null,"podCIDRs":null,"taints":[{"key":"podCIDR"}]},"metadata":{"name":"b"}},
            {"metadata":{"name":"c"}},{"metadata":{"name":"d"},"spec":null}]}"#,
        );
        read.unwrap();
        assert_eq!(seen, ["a=10.1.0.0/24,10.1.0.0/24,fd00::/64", "b=", "c=", "d="]);
    }

    #[test]
    fn it_ends_where_it_is_told_to() {
        let (seen, read) = seen(r#"{"items":[{"metadata":{"name":"stop"}},{"metadata":{"name":"after"}},"#);
        assert!(read.is_err());
        assert_eq!(seen, ["stop="]);
    }

    #[test]
    fn what_is_no_list() {
        assert!(seen(r#"{"items":null}"#).1.is_ok());
        assert_eq!(seen(r#"{"items":[{"metadata":{"name":"a"}"#).1.unwrap_err().classify(), Category::Eof);
        assert_eq!(seen("<html>").1.unwrap_err().classify(), Category::Syntax);
        for odd in [r#"{"items":[{"metadata":{"name":7}}]}"#, r#"{"items":["a"]}"#, r#""items""#] {
            assert_eq!(seen(odd).1.unwrap_err().classify(), Category::Data, "{odd}");
        }
    }
}
