//! The texts that `flannel-env` prints.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::docker::words::assignment;
use super::shell::quote;
use super::subnet_env::KEYS;

/// What is made of the subnets, besides flannel's own keys.
const DERIVED: [&str; 12] = [
    "FLANNEL_SUBNET_IP",
    "FLANNEL_SUBNET_NETWORK",
    "FLANNEL_SUBNET_LEN",
    "FLANNEL_SUBNET_GATEWAY",
    "FLANNEL_SUBNET_FIRST",
    "FLANNEL_SUBNET_LAST",
    "FLANNEL_IPV6_SUBNET_IP",
    "FLANNEL_IPV6_SUBNET_NETWORK",
    "FLANNEL_IPV6_SUBNET_LEN",
    "FLANNEL_IPV6_SUBNET_GATEWAY",
    "FLANNEL_IPV6_SUBNET_FIRST",
    "FLANNEL_IPV6_SUBNET_LAST",
];

/// All variables that a lease can have.
pub fn variable_names() -> impl Iterator<Item = &'static str> {
    KEYS.into_iter().chain(DERIVED)
}

/// How the variables are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `KEY=value`, which a shell and docker's `--env-file` read alike.
    Plain,
    /// `export KEY=value`.
    Export,
    /// `KEY="value"`, as systemd's EnvironmentFile= reads it (systemd.exec(5)).
    Systemd,
    /// One object of strings on one line.
    Json,
}

/// The text, with a line break at its end.
pub fn format(variables: &[(String, String)], form: Form) -> String {
    if form == Form::Json {
        let object: Map<String, Value> =
            variables.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
        return format!("{}\n", Value::Object(object));
    }
    let mut text = String::new();
    for (key, value) in variables {
        if form == Form::Systemd {
            text += &assignment(key, value);
            continue;
        }
        let export = if form == Form::Export { "export " } else { "" };
        let _ = writeln!(text, "{export}{key}={}", quote(value));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::docker::words::env_file;
    use crate::plan::subnet_env::from_variables;

    #[test]
    fn every_form_and_every_variable() {
        let lease = from_variables(|name| {
            let value = match name {
                "FLANNEL_NETWORK" => "10.42.0.0/16",
                "FLANNEL_SUBNET" => "10.42.3.1/24",
                "FLANNEL_IPV6_NETWORK" => "fd00:42::/56",
                "FLANNEL_IPV6_SUBNET" => "fd00:42:0:3::1/64",
                "FLANNEL_MTU" => "1450",
                _ => "true",
            };
            Some(value.to_owned())
        });
        let variables = lease.unwrap().variables();
        let names: Vec<&str> = variables.iter().map(|(k, _)| k.as_str()).collect();
        assert_eq!(names, variable_names().collect::<Vec<_>>());
        let two = &variables[1..3];
        assert_eq!(
            format(two, Form::Plain),
            "FLANNEL_SUBNET=10.42.3.1/24\nFLANNEL_IPV6_NETWORK=fd00:42::/56\n"
        );
        assert_eq!(format(&two[..1], Form::Export), "export FLANNEL_SUBNET=10.42.3.1/24\n");
        assert_eq!(format(&two[..1], Form::Systemd), "FLANNEL_SUBNET=\"10.42.3.1/24\"\n");
        assert_eq!(env_file(&format(&variables, Form::Systemd)), variables);
        assert_eq!(format(&two[..1], Form::Json), "{\"FLANNEL_SUBNET\":\"10.42.3.1/24\"}\n");
    }
}
