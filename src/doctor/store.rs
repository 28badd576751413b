//! What the session store does.

use super::report::{Line, Verdict};
#[cfg(feature = "web")]
use crate::web::StoreCheck;

pub(super) const STORE: &str = "session store";

pub(super) fn not_given() -> Line {
    Line::with(
        Verdict::NotChecked,
        STORE,
        "it was not given",
        "Call doctor_with(&layer), with the session layer",
    )
}

#[cfg(feature = "web")]
pub(super) fn line(check: StoreCheck) -> Line {
    match check {
        StoreCheck::Works => Line::ok(
            STORE,
            "writes, reads and deletes, and a login is taken once",
        ),
        StoreCheck::TakesTwice => Line::with(
            Verdict::Fail,
            STORE,
            "works, but nothing is known to take a login once: nobody can sign in",
            "Say where logins are claimed: session_layer(store).claims(..)",
        ),
        StoreCheck::Forgets => Line::with(
            Verdict::Fail,
            STORE,
            "does not give back what was written, or not what was written last",
            "Read where you write: not from a replica, nor through a cache of its own",
        ),
        StoreCheck::Keeps => Line::with(
            Verdict::Fail,
            STORE,
            "gives back what was deleted",
            "Read where you write: nobody could sign out",
        ),
        StoreCheck::Unavailable => Line::with(
            Verdict::Fail,
            STORE,
            "answered with an error, or not in time",
            "Look at the store, and at the network to it",
        ),
    }
}
