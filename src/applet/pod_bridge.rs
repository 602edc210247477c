//! A look at the bridge that pods are to hang on.

use crate::error::Result;
use crate::sys::link::{Link, Links};
use crate::types::{Cidr, IfName};

/// The link of that name, if there is one, and its addresses.
pub fn look(name: &IfName) -> Result<(Option<Link>, Vec<Cidr>)> {
    let links = Links::open()?;
    let link = links.get(name)?;
    let addrs = link.as_ref().map_or_else(|| Ok(Vec::new()), |l| links.addresses_of(l))?;
    Ok((link, addrs))
}
