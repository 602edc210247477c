//! YAML (and so JSON) into serde_json's tree: what a kubeconfig needs of it.

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// No kubeconfig is deeper; a hostile file must not exhaust the stack.
const DEEPEST: usize = 32;

/// Reads the first document. Plain `true`, `false`, `null` and `~` have their meaning; every other
/// scalar is a string. Aliases and duplicate keys are errors.
pub fn read(text: &str) -> Result<Value> {
    let mut reader = Reader { parser: Parser::new_from_str(text) };
    loop {
        match reader.next()? {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::StreamEnd => return Ok(Value::Null),
            first => return reader.value(first, 0),
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Event<'t>> {
        match self.parser.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(e)) => {
                Err(Error::failed(format!("is no YAML or JSON: line {}: {}", e.marker().line(), e.info())))
            }
            None => Err(Error::failed("is no YAML or JSON: it ends too early")),
        }
    }

    fn value(&mut self, event: Event<'t>, depth: usize) -> Result<Value> {
        if depth > DEEPEST {
            return Err(Error::failed("is nested too deeply"));
        }
        match event {
            Event::Scalar(text, style, _, _) => Ok(scalar(&text, style)),
            Event::SequenceStart(..) => {
                let mut list = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => return Ok(Value::Array(list)),
                        item => list.push(self.value(item, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => self.mapping(depth),
            Event::Alias(_) => Err(Error::failed("uses a YAML alias: write the value out")),
            _ => Err(Error::failed("is no YAML or JSON")),
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value> {
        let mut map = Map::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Ok(Value::Object(map)),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(Error::failed("has a key that is no plain word")),
            };
            let event = self.next()?;
            let value = self.value(event, depth + 1)?;
            if map.insert(key.clone(), value).is_some() {
                return Err(Error::failed(format!("has the key {key} twice")));
            }
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match (style, text) {
        (ScalarStyle::Plain, "true" | "True" | "TRUE") => Value::Bool(true),
        (ScalarStyle::Plain, "false" | "False" | "FALSE") => Value::Bool(false),
        (ScalarStyle::Plain, "" | "~" | "null" | "Null" | "NULL") => Value::Null,
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_and_json_read_alike() {
        let want = json!({"a": "x: y", "list": [{"name": "n", "on": true}, "1"], "none": null, "b": "true"});
        let yaml = "# c\na: 'x: y'\nlist:\n- name: n\n  on: true\n- 1\nnone:\nb: \"true\"\n";
        assert_eq!(read(yaml).unwrap(), want);
        assert_eq!(
            read(r#"{"a":"x: y","list":[{"name":"n","on":true},1],"none":null,"b":"true"}"#).unwrap(),
            want
        );
        assert_eq!(read("").unwrap(), Value::Null);
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        for text in ["a: 1\na: 2\n", "a: &x 1\nb: *x\n", "a: [1", "{\"a\": ", "? [a]\n: b\n", "a: b: c\n"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read(&"[".repeat(4000)).is_err());
    }
}
