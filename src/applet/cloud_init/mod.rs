//! `cloud-init`: user-data with which a host of a cloud becomes a node at its first boot.

mod gather;
mod output;

use std::path::PathBuf;

use super::cli::Words;
use super::options::applet_args;
use super::report::Report;
use super::setting::{self, Setting};
use super::{Applet, info_of, judge_of};
use crate::error::{Error, Result};
use crate::plan::cloud_init::choice::{program, sha256};
use crate::plan::cloud_init::{self, Binary, EC2_MAX};
use crate::plan::initramfs::extra::Extra;
use crate::plan::units::Role;

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "cloud-init",
    summary: "print user-data that makes a cloud's host a node",
    examples: &[
        "kboot is in the image: kboot cloud-init --role node --set server=http://10.0.0.1:8080",
        "it is fetched: kboot cloud-init --role node --url http://h/kboot --sha256 $SUM",
        "with a file: kboot cloud-init --role node --file ca.crt:/etc/kubernetes/pki/ca.crt:0644",
    ],
    rest: None,
    groups: &[
        "Host: --role --set --file",
        "Program: --program --url --sha256 --sha256-of",
        "User-data: --output --max-bytes",
    ],
    exits: &[],
    variables: &[],
    files: &["/etc/default/kboot: on the host, what --set names"],
    info: info_of::<Args>,
    judge: judge_of::<Args>,
    run,
};

applet_args! {
    /// prints user-data for cloud-init: at its first boot the host gets its options as
    /// /etc/default/kboot, the binary, the units that kboot units writes, and starts them. What fails
    /// shows in cloud-init status; later boots are systemd's.
    struct Args [] {
        /// what the host is (required): control-plane, node or both
        #[argh(option, arg_name = "role")]
        role: Option<Role>,
        /// an option of an applet, such as server=URL, bridge.mtu=1400 or KBOOT_SERVER=URL; repeatable
        #[argh(option, arg_name = "name=value", from_str_fn(setting::parse))]
        set: Vec<Setting>,
        /// a file for the host; DST and MODE are SRC's unless given; repeatable
        #[argh(option, arg_name = "src[:dst[:mode]]")]
        file: Vec<Extra>,
        /// kboot on the host (default: /usr/local/sbin/kboot)
        #[argh(option, arg_name = "path", default = "String::from(\"/usr/local/sbin/kboot\")", from_str_fn(program))]
        program: String,
        /// where the host fetches it, if its image does not have it
        #[argh(option, arg_name = "url", from_str_fn(gather::parse_url))]
        url: Option<String>,
        /// the SHA-256 of what is there, as sha256sum prints it
        #[argh(option, arg_name = "hash", from_str_fn(sha256))]
        sha256: Option<String>,
        /// a local file that is the same: its SHA-256 is taken
        #[argh(option, arg_name = "path")]
        sha256_of: Option<PathBuf>,
        /// more is exit 2 (default: 16384, which is what EC2 takes)
        #[argh(option, arg_name = "bytes", default = "EC2_MAX", from_str_fn(gather::parse_bytes))]
        max_bytes: usize,
        /// where to write; - is stdout (default: -)
        #[argh(option, short = 'o', arg_name = "path")]
        output: Option<PathBuf>,
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    args.common();
    let role = args.role.ok_or_else(|| Error::usage("--role is missing: control-plane, node or both"))?;
    let download = gather::download(&args)?;
    let files = gather::files(&args, role)?;
    let binary = Binary { path: &args.program, download: download.as_ref() };
    let data = cloud_init::compose(&files, &cloud_init::first_boot::script(role, &binary));
    let size = data.text.len();
    if size > args.max_bytes {
        let (name, bytes) = data.largest();
        return Err(Error::usage(format!(
            "user-data would have {size} bytes, more than {} (--max-bytes; EC2 takes {EC2_MAX}): {name} has \
             {bytes} of them: put it into the image",
            args.max_bytes
        )));
    }
    report.found("bytes", size.into());
    let secrets: Vec<&str> = files.iter().filter(|f| f.is_secret()).map(|f| f.path.as_str()).collect();
    if !secrets.is_empty() {
        report.warn(format!(
            "{}: not for everybody, but user-data is: every process of the host, pods too, can ask the \
             metadata service for it: give secrets that expire soon",
            secrets.join(", ")
        ));
    }
    output::write(&args, &data.text, !secrets.is_empty(), report)
}
