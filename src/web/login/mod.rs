//! Login routes: from the first click, through KYCPort, to a session.

mod callback;
mod lock;
mod start;
mod step_up;

pub(super) use {callback::callback, start::login, step_up::step_up};
