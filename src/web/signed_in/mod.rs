//! Requests of a signed-in person: the session layer, the extractor, and the routes `me` and
//! `logout`.

pub(super) mod extractor;
pub(super) mod layer;
pub(super) mod logout;
pub(super) mod me;
