//! Which words say what is wanted: the option, the kernel's command line, or nothing.

use super::Args;
use crate::applet::report::Report;
use crate::error::{Error, Result};
use crate::plan::cmdline::{self, Parameter};
use crate::plan::ip_param::{self, Device, Param};
use crate::sys;

/// One for each link, those that name none last: they take what the others leave.
pub fn params(args: &Args, report: &mut Report) -> Result<Vec<Param>> {
    let text = sys::cmdline::read();
    let line = cmdline::parse(&text);
    let (mut params, source) = match args.ip.as_slice() {
        [] => of_kernel(&line)?,
        given => (given.to_vec(), "--ip".to_owned()),
    };
    report.found("source", source.clone().into());
    let wrong = |why: String| Error::usage(format!("{source}: {why}"));
    if let Some(device) = &args.device {
        params.iter_mut().filter(|p| p.device.is_none()).for_each(|p| p.device = Some(device.clone()));
        params.retain(|p| p.device.as_ref() == Some(device));
        if params.is_empty() && !args.ip.is_empty() {
            return Err(Error::usage(format!("--ip speaks of other links than --device {device}")));
        }
    } else if let Some(mac) = cmdline::value(&line, "BOOTIF").and_then(ip_param::boot_link) {
        params.iter_mut().filter(|p| p.device.is_none()).for_each(|p| p.device = Some(Device::Mac(mac)));
    }
    if params.is_empty() {
        params.push(Param::dhcp(args.device.clone()));
    }
    ip_param::check(&params).map_err(wrong)?;
    params.sort_by_key(|p| p.device.is_none());
    if let Some(first) = params.first_mut() {
        let servers: Result<Vec<_>> = cmdline::values(&line, "nameserver").map(server).collect();
        first.dns.extend(servers?);
    }
    Ok(params)
}

/// `ip=`, which others may read as well; `kboot.ip=` has come as the option.
fn of_kernel(line: &[Parameter<'_>]) -> Result<(Vec<Param>, String)> {
    let parse =
        |text: &str| text.parse().map_err(|why| Error::usage(format!("kernel parameter ip={text}: {why}")));
    let found: Result<Vec<Param>> = cmdline::values(line, "ip").map(parse).collect();
    match found? {
        none if none.is_empty() => Ok((vec![Param::dhcp(None)], "default".to_owned())),
        found => Ok((found, "kernel parameter ip=".to_owned())),
    }
}

/// dracut's `nameserver=`.
fn server(text: &str) -> Result<std::net::IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().map_err(|_| {
        Error::usage(format!("kernel parameter nameserver={text}: is no address of a name server"))
    })
}
