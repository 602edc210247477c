//! `mkinitramfs`: an initramfs with this program in it, made without root and without cpio.

mod contents;
mod output;

use std::path::PathBuf;

use serde_json::json;

use super::cli::Words;
use super::options::applet_args;
use super::report::Report;
use super::{Applet, info_of, judge_of};
use crate::error::{Context, Error, Result};
use crate::plan::initramfs::extra::Extra;
use output::Output;

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "mkinitramfs",
    summary: "write an initramfs that boots with this program in it",
    examples: &[
        "a boot list and the network's driver: kboot mkinitramfs --boot boot.list --module virtio_net -o kboot.cpio",
        "compressed: kboot mkinitramfs --module br_netfilter --output - | gzip -9n > kboot.img",
        "what would be in it, with a secret: kboot mkinitramfs --file token:/etc/kboot/token:0600 --dry-run",
    ],
    rest: None,
    groups: &["Image: --output --boot --module --file", "Taken from: --kernel --modules-dir --kboot"],
    exits: &[],
    variables: &["SOURCE_DATE_EPOCH: the time of what is in it, in seconds since 1970 (default: 0)"],
    files: &["/lib/modules: modules, by the release of their kernel"],
    info: info_of::<Args>,
    judge: judge_of::<Args>,
    run,
};

applet_args! {
    /// writes an initramfs: this program as /init, the boot list and the modules that it is told to
    /// load. It is a plain cpio archive, the same byte for byte from the same input; the kernel takes
    /// it as it is, or compressed.
    struct Args [] {
        /// where to write (required); - is stdout
        #[argh(option, short = 'o', arg_name = "path")]
        output: Option<PathBuf>,
        /// the boot list, /etc/kboot/boot in the image
        #[argh(option, arg_name = "path")]
        boot: Option<PathBuf>,
        /// a kernel module to load at boot, with what it needs; repeatable
        #[argh(option, arg_name = "module")]
        module: Vec<String>,
        /// the kernel that boots, as uname -r gives it (default: the one that runs)
        #[argh(option, arg_name = "release")]
        kernel: Option<String>,
        /// its modules (default: /lib/modules/RELEASE)
        #[argh(option, arg_name = "dir")]
        modules_dir: Option<PathBuf>,
        /// one more file, SRC:DST:MODE; DST and MODE are SRC's unless given; repeatable
        #[argh(option, arg_name = "src[:dst[:mode]]")]
        file: Vec<Extra>,
        /// the static kboot to put in (default: this program)
        #[argh(option, arg_name = "path")]
        kboot: Option<PathBuf>,
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    let output = match &args.output {
        Some(path) => Some(Output::check(path, args.common().dry_run)?),
        None if report.dry_run => None,
        None => return Err(Error::usage("--output is missing: a path, or - for stdout")),
    };
    let mtime = mtime()?;
    let image = contents::gather(&args, report)?;
    output.iter().try_for_each(|o| o.is_no_source_of(&image))?;
    report.found("entries", json!(image.entries().count()));
    if let Some(secret) = image.secret() {
        let is_file = matches!(output, Some(Output::File(_)));
        let mode = if is_file { "the image has mode 0600: " } else { "" };
        report.warn(format!("/{secret} is not for everybody: {mode}keep the image from others"));
    }
    output::write(&image, output.as_ref(), mtime, report)
}

/// The time of all entries: 0, or SOURCE_DATE_EPOCH (reproducible-builds.org).
fn mtime() -> Result<u32> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse::<u32>().map_err(|_| Error::failed("is not a number of seconds below 2^32")),
        Err(_) => return Ok(0),
    }
    .usage("SOURCE_DATE_EPOCH")
}
