//! Login routes: redirect to KYCPort, callback and creation of the session.

mod callback;
mod completion;
mod lock;
mod parameters;
mod start;
mod step_up;

pub(super) use {callback::callback, start::login, step_up::step_up};
