//! The pod bridge: what is wanted against what is there. A change is one step and the difference that
//! asks for it.

pub mod down;
pub mod link;
pub mod masquerade;
pub mod settings;
mod step;
#[cfg(test)]
mod tests;

pub use link::{Candidate, Facts, Link, Port, Record, Wanted};
pub use step::{Call, Step};

/// One step, and the difference between what is found and what is wanted that it does away with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is done.
    pub step: Step,
    /// `cbr0: the MTU is 1500, wanted is 1450`.
    pub why: String,
}

impl Change {
    /// A step and its reason.
    pub fn new(step: Step, why: impl Into<String>) -> Self {
        Self { step, why: why.into() }
    }
}

/// The changes in their order, and how many things are already so.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub changes: Vec<Change>,
    /// Things wanted that are there.
    pub already: usize,
}

impl Plan {
    /// One thing that is wanted.
    pub fn want(&mut self, is_so: bool, step: Step, why: impl Into<String>) {
        if is_so {
            self.already += 1;
        } else {
            self.changes.push(Change::new(step, why));
        }
    }

    /// Another plan's changes after these.
    pub fn append(&mut self, other: Plan) {
        self.changes.extend(other.changes);
        self.already += other.already;
    }
}
