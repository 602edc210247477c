//! Validated value types that every room may use. Their `FromStr` errors are short reasons, without
//! the value itself: the caller knows which option or file it came from.

mod cidr;
mod duration;
mod ifname;
mod node_name;
mod url;

pub use cidr::Cidr;
pub use duration::Timeout;
pub use ifname::IfName;
pub use node_name::NodeName;
pub use url::{Scheme, Url};
