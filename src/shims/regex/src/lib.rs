//! regex-lite under the name of regex: the iptables crate needs `find_iter` and `captures` only, and
//! the full engine with its Unicode tables would add 1.1 MB to the binary.
pub use regex_lite::*;
