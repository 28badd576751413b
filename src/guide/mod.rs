//! The manual: pages without code, so that a name that moves breaks its link and the build.

#[doc = include_str!("contract.md")]
pub mod contract {}
