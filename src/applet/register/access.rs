//! Who kboot is at the API server: the command line's word on top of the kubeconfig's.

use std::path::Path;

use super::super::cli::Words;
use super::super::report::Report;
use super::super::server::{self, Server};
use super::super::{options, tls};
use super::Args;
use crate::client::kube::Credentials;
use crate::error::{Error, Result};
use crate::sys::file;
use crate::types::{BootstrapToken, Scheme};

/// The server with the credentials of the command line on top of its kubeconfig's.
pub fn server(args: &Args, words: &Words, report: &mut Report) -> Result<Server> {
    let given = tls::read(&args.tls_files(), args.insecure_skip_tls_verify)?;
    let credentials = credentials(args)?;
    let options = options::ServerOptions { context: args.context.clone(), ..args.server_options(words) };
    let mut server = match args.bootstrap_token_file {
        None => server::resolve(&options)?,
        // It may be the very kubeconfig whose certificate is gone.
        Some(_) => server::resolve_as_nobody(&options)?,
    };
    pin(args, given.skip_verify, &mut server)?;
    refuse_plain(args, &server)?;
    if given.cacert.is_some() {
        server.tls.cacert = given.cacert;
        server.tls.skip_verify = false;
    }
    if given.identity.is_some() {
        server.tls.identity = given.identity;
        server.lacks = None;
    }
    server.tls.skip_verify |= given.skip_verify;
    if let Some(credentials) = credentials {
        server.credentials = credentials;
        server.lacks = None;
    }
    warn_of_exposure(&server, report);
    // What is wrong with certificates and keys is to be told before anything is waited for.
    server.client()?;
    Ok(server)
}

fn pin(args: &Args, skips: bool, server: &mut Server) -> Result<()> {
    if args.ca_hash.is_empty() {
        return Ok(());
    }
    if skips || args.cacert.is_some() {
        return Err(Error::usage(
            "--ca-hash stands in for --cacert and --insecure-skip-tls-verify: give one",
        ));
    }
    if server.url.scheme() != Scheme::Https {
        return Err(Error::usage(format!("--ca-hash: {} has no certificate: https://?", server.url)));
    }
    server.tls.pins.clone_from(&args.ca_hash);
    server.tls.cacert = None;
    server.tls.skip_verify = false;
    Ok(())
}

/// An address without a scheme is http's: whoever gives a certificate does not mean that.
fn refuse_plain(args: &Args, server: &Server) -> Result<()> {
    let needs_tls = [("--cacert", args.cacert.is_some()), ("--cert", args.cert.is_some())];
    if let Some((option, _)) =
        needs_tls.iter().find(|(_, is_given)| *is_given && server.url.scheme() == Scheme::Http)
    {
        return Err(Error::usage(format!("{option}: {} is plain HTTP: https://?", server.url)));
    }
    Ok(())
}

/// kubeadm and kubectl take the token itself; here it would stand in ps for all to read, and in this error.
fn is_token_itself(path: &Path) -> bool {
    let text = path.to_string_lossy();
    !text.contains('/') && !path.exists() && (text.len() > 20 || text.parse::<BootstrapToken>().is_ok())
}

fn credentials(args: &Args) -> Result<Option<Credentials>> {
    let ways = [
        ("--token-file", args.token_file.is_some()),
        ("--user", args.user.is_some()),
        ("--bootstrap-token-file", args.bootstrap_token_file.is_some()),
    ];
    let given: Vec<&str> = ways.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| *name).collect();
    if given.len() > 1 {
        return Err(Error::usage(format!("{} contradict each other", given.join(" and "))));
    }
    if args.bootstrap_token_file.is_some() && args.cert.is_some() {
        return Err(Error::usage(
            "--cert and --bootstrap-token-file contradict each other: the token is for getting a certificate",
        ));
    }
    let files = [("--token-file", &args.token_file), ("--bootstrap-token-file", &args.bootstrap_token_file)];
    for (option, path) in files {
        if path.as_deref().is_some_and(is_token_itself) {
            return Err(Error::usage(format!(
                "{option}: takes a file with the token, and there is none of that name"
            )));
        }
    }
    match (&args.token_file, &args.user, &args.password_file) {
        (Some(path), None, None) => token(path).map(Some),
        (_, None, None) => Ok(None),
        (_, Some(name), Some(path)) => {
            let password = file::read_named(path)?;
            Credentials::basic(name, password.trim_end_matches(['\n', '\r'])).map(Some)
        }
        _ => Err(Error::usage("--user and --password-file go together")),
    }
}

fn warn_of_exposure(server: &Server, report: &mut Report) {
    if server.url.scheme() == Scheme::Https && server.tls.skip_verify {
        report.warn(format!(
            "{}: its certificate is not checked: whoever answers there gets the credentials",
            server.url
        ));
    }
    if server.url.scheme() == Scheme::Http && server.credentials.header().is_some() {
        report.warn(format!("{}: the credentials go over the network in the clear", server.url));
    }
}

fn token(path: &Path) -> Result<Credentials> {
    Credentials::bearer(&file::read_named(path)?, &path.display().to_string())
}
