//! Tests that run the program `kycport-mock`. The tests use the program like a script in another
//! language.
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
