//! `cni-config`: the list of CNI plugins for a runtime that is not docker.

mod around;
mod store;

use std::path::{Path, PathBuf};

use super::cli::Words;
use super::options::applet_args;
use super::report::Report;
use super::{Applet, info_of, judge_of, lease, options};
use crate::error::{Error, Result};
use crate::plan::cni::{self, Wanted, parse_network, parse_version};
use crate::plan::subnet_env::{Lease, check_mtu, parse_mtu};
use crate::sys::wait::Deadline;
use crate::sys::{file, lock};
use crate::types::{Cidr, Hairpin, IfName, Timeout};

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "cni-config",
    summary: "write the CNI config of containerd or CRI-O for this lease",
    examples: &[
        "for cbr0 and the lease, where every runtime looks: kboot cni-config",
        "on stdout, without flannel: kboot cni-config --name br-pods --subnet 10.7.3.1/24 --mtu 1450 --output -",
        "what has changed since: kboot cni-config --check",
    ],
    rest: None,
    groups: &[
        "Network: --name --network --mtu --hairpin-mode --no-portmap --bandwidth --cni-version",
        "File: --output --replace --no-conflict-check --check",
        options::LEASE,
    ],
    exits: &[
        "3: something differs (--check), or another's file is in the way (see --replace)",
        options::LATE,
    ],
    variables: &[options::LEASE_VARIABLES],
    files: &["/etc/cni/net.d/10-kboot.conflist: what is written", options::LEASE_FILE],
    info: info_of::<Args>,
    judge: judge_of::<Args>,
    run,
};

/// Where every runtime looks.
const OUTPUT: &str = "/etc/cni/net.d/10-kboot.conflist";

applet_args! {
    /// writes the list of CNI plugins with which containerd, CRI-O or a kubelet puts its pods on the
    /// bridge that kboot bridge makes, with addresses of this host's flannel subnet. The plugins set
    /// no masquerading rules.
    struct Args [lease] {
        /// the bridge (default: cbr0)
        #[argh(option, arg_name = "ifname")]
        name: Option<IfName>,
        /// the network's name (default: kboot)
        #[argh(option, arg_name = "name", default = "String::from(\"kboot\")", from_str_fn(parse_network))]
        network: String,
        /// the pods' MTU (default: the lease's)
        #[argh(option, arg_name = "bytes", from_str_fn(parse_mtu))]
        mtu: Option<u32>,
        /// how a pod reaches itself by a service: hairpin-veth, promiscuous-bridge or none; the same as
        /// for bridge, if given there (default: hairpin-veth)
        #[argh(option, arg_name = "mode", default = "Hairpin::Veth")]
        hairpin_mode: Hairpin,
        /// no host ports: without the portmap plugin
        #[argh(switch)]
        no_portmap: bool,
        /// pods' bandwidth annotations count: with the bandwidth plugin
        #[argh(switch)]
        bandwidth: bool,
        /// the specification's version, 0.3.0 to 1.1.0 (default: 0.3.1, which all runtimes take)
        #[argh(option, arg_name = "version", default = "cni::DEFAULT_VERSION.into()", from_str_fn(parse_version))]
        cni_version: String,
        /// where to write, NAME.conflist; - is stdout (default: /etc/cni/net.d/10-kboot.conflist)
        #[argh(option, short = 'o', arg_name = "path")]
        output: Option<PathBuf>,
        /// overwrite a file that is not kboot's
        #[argh(switch)]
        replace: bool,
        /// do not look for other configs that a runtime would take instead
        #[argh(switch)]
        no_conflict_check: bool,
        /// change nothing, wait for nothing (unless --timeout is given); print what differs, a line
        /// each, and exit with 3 if anything does
        #[argh(switch)]
        check: bool,
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    let path = output(&args)?;
    let bridge = args.name.clone().map_or_else(|| "cbr0".parse().map_err(Error::failed), Ok)?;
    let patience =
        if args.check && !words.is_typed("--timeout") { Timeout::Once } else { args.common().timeout };
    let deadline = Deadline::start(patience);
    let lease = lease::resolve(&args.lease_options(), &deadline)?;
    let subnets: Vec<Cidr> = lease.subnets().collect();
    let wanted = Wanted {
        bridge: &bridge,
        network: &args.network,
        version: &args.cni_version,
        subnets: &subnets,
        mtu: mtu(&args, &lease, report)?,
        hairpin: args.hairpin_mode,
        portmap: !args.no_portmap,
        bandwidth: args.bandwidth,
    };
    let list = wanted.list();
    report.found("config", list.clone());
    let Some(path) = path else { return report.data(&cni::text(&list)) };
    let is_written = !args.check && !report.dry_run;
    let _lock = is_written.then(|| lock::acquire(&deadline)).transpose()?;
    let held = cni::compare(&file::read_if_there(&path)?.unwrap_or_default(), &list);
    let earlier = if args.no_conflict_check { Vec::new() } else { around::earlier(&path)? };
    around::look(&wanted, report);
    if args.check {
        store::check(&args, &path, held, earlier, report)?;
    } else {
        store::store(&args, &path, &list, held, &earlier, report)?;
    }
    let shown: Vec<String> = subnets.iter().map(|s| s.network().to_string()).collect();
    report.summary(format_args!("{}: {} on {bridge}, {}", path.display(), args.network, shown.join(" ")));
    Ok(())
}

/// Where to write; `None`: to stdout.
fn output(args: &Args) -> Result<Option<PathBuf>> {
    let given = args.output.as_deref().unwrap_or(Path::new(OUTPUT));
    if given.as_os_str() == "-" {
        return match (args.check, args.replace) {
            (true, _) => Err(Error::usage("--check compares a file: it does not go with --output -")),
            (_, true) => Err(Error::usage("--replace goes with a file, not with --output -")),
            _ => Ok(None),
        };
    }
    let path = std::path::absolute(given)?;
    let refuse = |why: &str| Err(Error::usage(format!("--output {}: {why}", given.display())));
    if path.is_dir() {
        return refuse("is a directory, not a file");
    }
    if !cni::is_list(&around::name(&path)) {
        return refuse("a runtime takes a list of plugins from NAME.conflist only");
    }
    Ok(Some(path))
}

fn mtu(args: &Args, lease: &Lease, report: &mut Report) -> Result<Option<u32>> {
    let mtu = args.mtu.or(lease.mtu);
    check_mtu(mtu, &lease.subnets().collect::<Vec<_>>()).map_err(Error::usage)?;
    if mtu.is_none() {
        report.warn("the lease says no MTU: pods get the kernel's 1500, too much for an overlay: --mtu");
    }
    Ok(mtu)
}
