//! dockerd's network settings.

mod argv;
pub mod around;
pub mod conflicts;
mod env_file;
pub mod json;
pub mod mk_opts;
mod setting;
mod settings;
mod types;
pub mod unit;
pub mod words;

pub use argv::{is_dockerd, values};
pub use env_file::*;
pub use setting::Setting;
pub use settings::{Mode, Wanted, settings};
