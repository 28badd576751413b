//! Logins: from the click, through KYCPort, to a session.

mod callback;
mod cookies;
mod keys;
mod pending;
mod start;
mod step_up;

pub(super) use {
    callback::callback, cookies::LoginCookies, keys::LoginKeys, start::login, step_up::step_up,
};
