//! Assurance: how well a person is known to be who they are.

mod assurance;

pub use assurance::Assurance;
