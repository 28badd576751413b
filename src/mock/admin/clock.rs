//! The issuer's clock.

use std::time::Duration;

use axum::http::Method;
use chrono::DateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin,
    no::No,
    route::{Nothing, Route},
};
use crate::{
    clock::{Clock as _, SystemClock, Timestamp},
    mock::{core::Core, deliveries::event::rfc3339, start::texts::Moment},
};

/// What the clock shows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Clock")]
pub(super) struct ClockView {
    /// RFC 3339, to the millisecond.
    now: String,
    /// Milliseconds since 1970.
    unix_ms: i64,
    /// Whether it stands still.
    frozen: bool,
}

/// By how much it is moved forward.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Advance {
    seconds: u64,
}

/// What it is set to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Jump {
    /// RFC 3339.
    #[schemars(with = "Moment")]
    to: String,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/clock",
            "readClock",
            "What the clock shows.",
            read,
        ),
        Route::new(
            Method::POST,
            "/clock/advance",
            "advanceClock",
            "Moves it forward. What is due is delivered.",
            advance,
        ),
        Route::new(
            Method::POST,
            "/clock/freeze",
            "freezeClock",
            "Stops it.",
            freeze,
        ),
        Route::new(
            Method::POST,
            "/clock/resume",
            "resumeClock",
            "Lets it run on from what it shows.",
            resume,
        ),
        Route::new(Method::POST, "/clock/jump", "jumpClock", "Sets it.", jump),
    ]
}

pub(super) fn read(admin: &Admin, _: &str, _: Nothing) -> Result<ClockView, No> {
    let now = admin.core.now();
    Ok(ClockView {
        now: rfc3339(now),
        unix_ms: now.as_unix_millis(),
        frozen: admin.core.clock.is_frozen(),
    })
}

pub(super) fn advance(admin: &Admin, _: &str, by: Advance) -> Result<ClockView, No> {
    let by = Duration::from_secs(by.seconds);
    if !admin.core.may_advance(by) {
        let why = "`seconds` would move the clock beyond the year 9999, the last of RFC 3339";
        return Err(No::conflict(why));
    }
    admin.core.clock.advance(by);
    read(admin, "", Nothing {})
}

pub(super) fn freeze(admin: &Admin, _: &str, _: Nothing) -> Result<ClockView, No> {
    admin.core.clock.freeze();
    read(admin, "", Nothing {})
}

pub(super) fn resume(admin: &Admin, _: &str, _: Nothing) -> Result<ClockView, No> {
    admin.core.clock.resume();
    read(admin, "", Nothing {})
}

pub(super) fn jump(admin: &Admin, _: &str, jump: Jump) -> Result<ClockView, No> {
    let to = DateTime::parse_from_rfc3339(&jump.to)
        .map_err(|_| No::invalid("`to` is no moment of RFC 3339"))?;
    let to = Timestamp::from_unix_millis(to.timestamp_millis());
    admin.core.clock.jump_to(to);
    read(admin, "", Nothing {})
}

/// It runs, and shows the machine's time.
pub(super) fn set_right(core: &Core) {
    core.clock.resume();
    core.clock.jump_to(SystemClock::new().now());
}
