//! Options that several applets share. argh has no flatten, so one macro writes them into each
//! applet's struct, with their one description, and gives each group back as a value.

use std::path::PathBuf;

use crate::types::{Cidr, Timeout, Url};

/// `--timeout`, `--dry-run`, `--json`.
pub struct Common {
    /// The run's patience.
    pub timeout: Timeout,
    /// Print the plan only.
    pub dry_run: bool,
    /// Print one JSON object.
    pub json: bool,
}

/// Where the lease comes from.
pub struct LeaseOptions {
    /// `--subnet`, repeatable.
    pub subnet: Vec<Cidr>,
    /// `--env-file`.
    pub env_file: Option<PathBuf>,
    /// `--allow-stale`.
    pub allow_stale: bool,
}

/// Which API server.
pub struct ServerOptions {
    /// `--server`, and where it came from.
    pub server: Option<(Url, String)>,
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// The context to take in place of the kubeconfig's current one.
    pub context: Option<String>,
}

/// Files that TLS needs.
#[derive(Default)]
pub struct TlsFiles {
    /// `--cacert`.
    pub cacert: Option<PathBuf>,
    /// `--cert`.
    pub cert: Option<PathBuf>,
    /// `--key`.
    pub key: Option<PathBuf>,
}

/// Where in an etcd flannel keeps its things, and as whom to ask.
pub struct EtcdOptions {
    /// `--prefix`.
    pub prefix: Option<String>,
    /// `--user`.
    pub user: Option<String>,
    /// `--password-file`.
    pub password_file: Option<PathBuf>,
}

/// The default of `--timeout`.
pub const TIMEOUT: Timeout = Timeout::After(std::time::Duration::from_mins(5));

/// Groups of shared options, as `Applet::groups` has them.
pub const LEASE: &str = "Lease: --subnet --env-file --allow-stale";
pub const SERVER: &str = "API server: --server --kubeconfig";
pub const TLS: &str = "TLS: --cacert --cert --key";
/// Every applet's last.
pub const RUN: &str = "Run: --timeout --dry-run --json --verbose --quiet --help";

/// What several applets' help has of exit statuses, variables and files.
pub const LATE: &str = "75: not within --timeout; run it again";
pub const LEASE_VARIABLES: &str = "FLANNEL_SUBNET, FLANNEL_NETWORK, FLANNEL_MTU, FLANNEL_IPMASQ: the lease, unless an option says where it is";
pub const SERVER_VARIABLES: &str = "KUBECONFIG, KUBERNETES_MASTER: the API server, unless an option names it";
pub const LEASE_FILE: &str = "/run/flannel/subnet.env: the lease, as flanneld writes it";
pub const KUBECONFIGS: &str =
    "/etc/kubernetes/kubelet.conf, /etc/kubernetes/admin.conf: the API server, if nothing else names it";

macro_rules! applet_args {
    ($(#[$meta:meta])* struct $name:ident [$($group:ident)*] { $($own:tt)* }) => {
        applet_args!(@ [$(#[$meta])*] $name [$($group)*] { $($own)* });
    };
    (@ $meta:tt $name:ident [lease $($rest:ident)*] { $($fields:tt)* }) => {
        applet_args!(@ $meta $name [$($rest)*] { $($fields)*
            /// the subnet of this host's lease, such as 10.10.48.1/24; repeatable, one of each family
            #[argh(option, arg_name = "cidr", from_str_fn(crate::types::Cidr::parse_subnet))]
            subnet: Vec<crate::types::Cidr>,
            /// flannel's file with the lease; awaited (default: /run/flannel/subnet.env)
            #[argh(option, arg_name = "path")]
            env_file: Option<std::path::PathBuf>,
            /// take a lease file that an earlier boot left
            #[argh(switch)]
            allow_stale: bool,
        });
        impl $name {
            fn lease_options(&self) -> $crate::applet::options::LeaseOptions {
                $crate::applet::options::LeaseOptions {
                    subnet: self.subnet.clone(),
                    env_file: self.env_file.clone(),
                    allow_stale: self.allow_stale,
                }
            }
        }
    };
    (@ $meta:tt $name:ident [server $($rest:ident)*] { $($fields:tt)* }) => {
        applet_args!(@ $meta $name [$($rest)*] { $($fields)*
            /// the API server, such as http://10.0.0.1:8080 (default: from the kubeconfig, else
            /// KUBECONFIG, KUBERNETES_MASTER, /etc/kubernetes/kubelet.conf, admin.conf, 127.0.0.1:8080)
            #[argh(option, arg_name = "url")]
            server: Option<crate::types::Url>,
            /// a kubeconfig, in YAML or JSON, with server and credentials
            #[argh(option, arg_name = "path")]
            kubeconfig: Option<std::path::PathBuf>,
        });
        impl $name {
            fn server_options(&self, words: &$crate::applet::cli::Words) -> $crate::applet::options::ServerOptions {
                let source = words.source("--server").to_owned();
                let server = self.server.clone().map(|url| (url, source));
                $crate::applet::options::ServerOptions { server, kubeconfig: self.kubeconfig.clone(), context: None }
            }
        }
    };
    (@ $meta:tt $name:ident [tls $($rest:ident)*] { $($fields:tt)* }) => {
        applet_args!(@ $meta $name [$($rest)*] { $($fields)*
            /// certificates to trust for https, PEM (default: the system's)
            #[argh(option, arg_name = "path")]
            cacert: Option<std::path::PathBuf>,
            /// client certificate, PEM
            #[argh(option, arg_name = "path")]
            cert: Option<std::path::PathBuf>,
            /// its key, PEM (default: in the file of --cert)
            #[argh(option, arg_name = "path")]
            key: Option<std::path::PathBuf>,
        });
        impl $name {
            fn tls_files(&self) -> $crate::applet::options::TlsFiles {
                $crate::applet::options::TlsFiles { cacert: self.cacert.clone(), cert: self.cert.clone(), key: self.key.clone() }
            }
        }
    };
    (@ $meta:tt $name:ident [etcd $($rest:ident)*] { $($fields:tt)* }) => {
        applet_args!(@ $meta $name [$($rest)*] { $($fields)*
            /// flannel's --etcd-prefix (default: /coreos.com/network)
            #[argh(option, arg_name = "key")]
            prefix: Option<String>,
            /// user name in etcd
            #[argh(option, arg_name = "user")]
            user: Option<String>,
            /// file with the password of --user
            #[argh(option, arg_name = "path")]
            password_file: Option<std::path::PathBuf>,
        });
        impl $name {
            fn etcd_options(&self) -> $crate::applet::options::EtcdOptions {
                $crate::applet::options::EtcdOptions {
                    prefix: self.prefix.clone(),
                    user: self.user.clone(),
                    password_file: self.password_file.clone(),
                }
            }
        }
    };
    (@ [$($meta:tt)*] $name:ident [] { $($fields:tt)* }) => {
        #[derive(argh::FromArgs, argh::ArgsInfo)]
        $($meta)*
        struct $name {
            $($fields)*
            /// how long to wait: 90s, 5m, a number of seconds, 0 (one attempt) or forever (default: 5m)
            #[argh(option, arg_name = "duration", default = "crate::applet::options::TIMEOUT")]
            timeout: crate::types::Timeout,
            /// print what would be done, do nothing
            #[argh(switch)]
            dry_run: bool,
            /// print one JSON object about the run
            #[argh(switch)]
            json: bool,
            /// say more; twice: all
            #[argh(switch, short = 'v')]
            verbose: u8,
            /// say warnings and errors only
            #[argh(switch, short = 'q')]
            quiet: bool,
        }
        impl $name {
            fn common(&self) -> $crate::applet::options::Common {
                // Read where the words are scanned, before argh; named here for argh's sake alone.
                let _ = (self.verbose, self.quiet);
                $crate::applet::options::Common { timeout: self.timeout, dry_run: self.dry_run, json: self.json }
            }
        }
    };
}
pub(crate) use applet_args;
