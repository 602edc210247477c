//! Validated value types that every room may use. Their `FromStr` errors are short reasons, without
//! the value itself: the caller knows which option or file it came from.

mod bootstrap_token;
mod ca_hash;
mod cidr;
mod duration;
mod hairpin;
mod host_range;
mod ifname;
mod mac;
pub mod nft;
mod node_name;
mod route;
mod url;
mod version;

pub use bootstrap_token::BootstrapToken;
pub use ca_hash::CaHash;
pub use cidr::Cidr;
pub use duration::Timeout;
pub use hairpin::Hairpin;
pub use host_range::HostRange;
pub use ifname::IfName;
pub use mac::Mac;
pub use node_name::NodeName;
pub use route::Route;
pub use url::{Scheme, Url};
pub use version::{Version, parse_version, show_version};
