//! Login routes: redirect to KYCPort, callback and creation of the session.

mod callback;
mod completion;
mod lock;
mod parameters;
mod start;
mod state;
mod step_up;

pub(super) use {
    callback::callback, start::login, state::state as step_up_state, step_up::step_up,
};
