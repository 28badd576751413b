//! The program `kycport-mock`, as a script in another language meets it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod program;
mod serve;
mod sign_in;
mod trigger;
mod verify;
