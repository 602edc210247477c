//! From a bootstrap token to the kubelet's own client certificate and kubeconfig, by a certificate
//! signing request. Whatever is done stays done: a run that was killed is gone on with by the next.

mod look;
mod work;

use std::path::{Path, PathBuf};

use super::Args;
use crate::applet::cli::Words;
use crate::applet::report::Report;
use crate::applet::server::Server;
use crate::client::kube::Credentials;
use crate::client::{cluster_info, kubeconfig};
use crate::error::{Context, Error, Result};
use crate::plan::join::{self, Config, Paths, Seen, Step};
use crate::plan::subnet_env::Lease;
use crate::sys::http::Tls;
use crate::sys::wait::{self, Deadline};
use crate::sys::{file, lock, log};
use crate::types::{BootstrapToken, NodeName, Scheme, Url};
use work::Work;

/// Where the kubelet of every distribution looks.
const KUBECONFIG: &str = "/etc/kubernetes/kubelet.conf";
const DIRECTORY: &str = "/var/lib/kubelet/pki";
/// As the kubelet names them: it takes over what kboot made, and rotates it.
const KEY: &str = "kubelet-client.key.tmp";
const PAIR: &str = "kubelet-client-current.pem";

/// A join that is asked for.
pub struct Join {
    token: Source,
    kubeconfig: PathBuf,
    key: PathBuf,
    pair: PathBuf,
}

/// Where the token is.
enum Source {
    File(PathBuf),
    Known(BootstrapToken),
}

impl Source {
    fn token(&self) -> Result<BootstrapToken> {
        match self {
            Self::Known(token) => Ok(token.clone()),
            Self::File(path) => {
                let text = file::read_named(path)?;
                text.trim().parse().map_err(|why| Error::usage(format!("{}: {why}", path.display())))
            }
        }
    }
}

/// With whom and as whom to go on.
pub struct Entered {
    /// The server, by the kubelet's kubeconfig.
    pub server: Server,
    /// The node's name.
    pub name: NodeName,
    /// A dry run: there are no credentials yet to look for the Node with.
    pub is_stranger: bool,
}

impl Join {
    /// Whether there is a bootstrap token: in the option's file, or as the token of the kubeconfig.
    pub fn wanted(args: &Args, words: &Words, server: &Server) -> Result<Option<Self>> {
        let known = server.credentials.bootstrap_token().filter(|_| args.token_file.is_none());
        let token = match (&args.bootstrap_token_file, known) {
            (Some(path), _) => Source::File(path.clone()),
            (None, Some(token)) => Source::Known(token),
            (None, None) => {
                let stray = ["--kubelet-kubeconfig", "--cert-dir"].into_iter().find(|o| words.is_typed(o));
                return match stray {
                    Some(o) => Err(Error::usage(format!("{o} goes with --bootstrap-token-file"))),
                    None => Ok(None),
                };
            }
        };
        check(&server.url, &server.tls)?;
        let absolute = |path: &Path| std::path::absolute(path).context(path.display());
        let directory = absolute(args.cert_dir.as_deref().unwrap_or(Path::new(DIRECTORY)))?;
        let join = Self {
            token,
            kubeconfig: absolute(args.kubelet_kubeconfig.as_deref().unwrap_or(Path::new(KUBECONFIG)))?,
            key: directory.join(KEY),
            pair: directory.join(PAIR),
        };
        // A node that joined long ago may have lost its token since.
        if !join.kubeconfig.exists() {
            join.token.token()?;
        }
        Ok(Some(join))
    }

    /// Sees to it that the kubeconfig is there and good.
    pub fn enter(
        &self,
        args: &Args,
        server: Server,
        lease: &Lease,
        deadline: &Deadline,
        report: &mut Report,
    ) -> Result<Entered> {
        // Whether a certificate has expired, only a clock that is set can say.
        wait::for_the_clock(deadline)?;
        let (mut seen, mut name) = self.look(args.name.as_ref(), &server, lease)?;
        let mut steps = self.plan(&seen, &name, &server.url, args)?;
        if let Some(flaw) = seen.flaw.as_ref().filter(|_| seen.config != Config::Absent) {
            log::info!("{}: {flaw}: joining anew", self.kubeconfig.display());
        }
        if !steps.is_empty() {
            let server = self.stranger(server, deadline, report)?;
            let mut _lock = None;
            if !report.dry_run {
                file::make_directory_of(&self.key).context(self.key.display())?;
                _lock = lock::of_directory(self.key.parent().unwrap_or(Path::new("/")), deadline)?;
                // Whoever had it may have joined meanwhile.
                (seen, name) = self.look(args.name.as_ref(), &server, lease)?;
                steps = self.plan(&seen, &name, &server.url, args)?;
            }
            let mut work = Work::new(self, &name, server, deadline);
            report.carry_out(&steps, |step| work.take(step))?;
            if report.dry_run {
                return Ok(Entered { server: work.server, name, is_stranger: true });
            }
        }
        if steps.is_empty() {
            report.already(1);
        }
        if !steps.is_empty() || (seen.has_certificate && !report.dry_run) {
            // It is in one file with its certificate now.
            file::remove(&self.key)?;
        }
        self.joined(name, report)
    }

    /// What is gone on with.
    fn joined(&self, name: NodeName, report: &mut Report) -> Result<Entered> {
        let kubeconfig = text(&self.kubeconfig)?;
        report.found("kubeconfig", kubeconfig.as_str().into());
        let found = kubeconfig::read(&self.kubeconfig, None)?;
        let server = Server::of(&self.kubeconfig, found, kubeconfig);
        log::info!("API server {} (from {})", server.url, server.source);
        Ok(Entered { server, name, is_stranger: false })
    }

    fn plan(&self, seen: &Seen, name: &NodeName, url: &Url, args: &Args) -> Result<Vec<Step>> {
        let paths =
            Paths { key: text(&self.key)?, pair: text(&self.pair)?, kubeconfig: text(&self.kubeconfig)? };
        join::plan(seen, &paths, name, url, args.replace).map_err(Error::conflict)
    }

    /// The server as the token's bearer reaches it: with a pinned CA, that of cluster-info.
    fn stranger(&self, server: Server, deadline: &Deadline, report: &mut Report) -> Result<Server> {
        let token = self.token.token()?;
        let mut tls = Tls { identity: None, ..server.tls };
        if !tls.pins.is_empty() {
            let pins = std::mem::take(&mut tls.pins);
            let info = cluster_info::discover(&server.url, &tls, &token, &pins, deadline)?;
            if info.server.parse::<Url>().as_ref() != Ok(&server.url) {
                report.warn(format!("cluster-info names the server {}: kept is {}", info.server, server.url));
            }
            tls.cacert = Some(("cluster-info".to_owned(), info.ca));
        }
        let bearer = format!("{}.{}", token.id, token.secret);
        Ok(Server { tls, credentials: Credentials::bearer(&bearer, "bootstrap token")?, ..server })
    }
}

/// A token is given to a server that has proved itself, and to no other.
fn check(url: &Url, tls: &Tls) -> Result<()> {
    if url.scheme() != Scheme::Https {
        return Err(Error::usage(format!(
            "{url}: certificates are given over https only: --server https://…"
        )));
    }
    if tls.skip_verify {
        return Err(Error::usage(format!(
            "{url}: a bootstrap token is for a server that is checked: give --ca-hash or --cacert"
        )));
    }
    Ok(())
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| Error::usage(format!("{}: is not UTF-8", path.display())))
}
