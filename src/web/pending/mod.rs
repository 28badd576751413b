//! Pending logins: sealed in a cookie of the browser.

mod cookies;
mod keys;
mod login;
mod waiting;

pub(super) use {
    cookies::LoginCookies,
    keys::LoginKeys,
    login::{PendingLogin, StepUp},
    waiting::{WaitingCallbacks, WaitingPermit},
};
