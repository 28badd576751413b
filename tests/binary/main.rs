//! The program `kycport-mock`, as a script in another language uses it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

mod program;
mod serve;
mod sign_in;
mod trigger;
mod verify;
