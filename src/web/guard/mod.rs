//! Protection of routes: the guard, its responses, and bearer tokens.

pub(super) mod bearer;
pub(super) mod denial_response;
pub(super) mod layer;
