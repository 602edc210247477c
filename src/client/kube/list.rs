//! All Nodes, one at a time: a list of 5000 is 75 MB of JSON, of which a name and one or two networks
//! each are wanted.

use std::fmt;
use std::io::BufReader;
use std::time::Duration;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::{Kube, busy, words};
use crate::error::{Error, Result};
use crate::sys::http::{Answer, Stream};
use crate::sys::wait::{Retry, retry};

/// From the server's cache, in whatever version that is. (1.0 to 1.2 have none, and take no notice.)
const PATH: &str = "/api/v1/nodes?resourceVersion=0";

/// The longest that one list may take.
const LONGEST: Duration = Duration::from_mins(1);

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
}

impl Kube<'_> {
    /// Shows every Node to `see`, in constant memory. A list that breaks off is begun again.
    pub fn look_through_nodes(&self, see: See<'_>) -> Result<Looked> {
        let what = self.client.base().to_string();
        retry(self.deadline, &what, || match self.client.stream(PATH, self.deadline.attempt(LONGEST))? {
            Answer::Stream(stream) => self.look_through(stream, see),
            Answer::Whole(answer) if answer.status == 403 => Ok(Looked::Refused(words(&answer))),
            Answer::Whole(answer) => Err(busy(&answer).unwrap_or_else(|| self.unexpected(&answer).into())),
        })
    }

    fn look_through(&self, mut stream: Stream, see: See<'_>) -> Result<Looked, Retry> {
        let mut stopped = false;
        let mut reader =
            serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 16, &mut stream));
        let mut stop_or_not = |name: &str, cidrs: &[String]| {
            stopped |= see(name, cidrs);
            stopped
        };
        let read = List(&mut stop_or_not).deserialize(&mut reader).and_then(|()| reader.end());
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

macro_rules! expecting {
    ($what:literal) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str($what)
        }
    };
}

/// The NodeList object.
struct List<'s>(See<'s>);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    expecting!("a NodeList");

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                map.next_value_seed(Items(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Its items, or null.
struct Items<'s>(See<'s>);

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    expecting!("a list of Nodes");

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut node = Node::default();
        while items.next_element_seed(Part::Node(&mut node))?.is_some() {
            if (self.0)(&node.name, &node.pod_cidrs) {
                return Err(A::Error::custom("enough"));
            }
            node.name.clear();
            node.pod_cidrs.clear();
        }
        Ok(())
    }
}

#[derive(Default)]
struct Node {
    name: String,
    pod_cidrs: Vec<String>,
}

/// The parts of a Node that are looked into.
enum Part<'n> {
    Node(&'n mut Node),
    Metadata(&'n mut Node),
    Spec(&'n mut Node),
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ();

    expecting!("a part of a Node");

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match (&mut self, key.as_str()) {
                (Part::Node(node), "metadata") => map.next_value_seed(Part::Metadata(node))?,
                (Part::Node(node), "spec") => map.next_value_seed(Part::Spec(node))?,
                (Part::Metadata(node), "name") => node.name = map.next_value()?,
                (Part::Spec(node), "podCIDR") => node.pod_cidrs.extend(map.next_value::<Option<String>>()?),
                (Part::Spec(node), "podCIDRs") => {
                    node.pod_cidrs.extend(map.next_value::<Option<Vec<String>>>()?.into_iter().flatten());
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
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
        let read = List(&mut see).deserialize(&mut reader).and_then(|()| reader.end());
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
        assert!(seen(r#"{"items":[{"metadata":{"name":7}}]}"#).1.is_err());
    }
}
