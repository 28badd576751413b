//! The crate as its users see it. One module for each area of the source.

mod access_token;
mod every_token;
mod foreign_tokens;
mod id_token;
mod key_set;
mod mint;
mod no_panic;
