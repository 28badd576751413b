//! Admin API routes for the issuer's clock.

use std::time::Duration;

use axum::http::Method;
use chrono::DateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin,
    api_error::ApiError,
    route::{Empty, Route},
};
use crate::{
    clock::{Clock as _, SystemClock, Timestamp},
    mock::{core::Core, deliveries::event::rfc3339, start::texts::Moment},
};

/// State of the issuer's clock.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Clock")]
pub(in crate::mock) struct ClockView {
    /// Current time in RFC 3339 format, with milliseconds.
    now: String,
    /// Current time in milliseconds since 1970-01-01 UTC.
    pub(in crate::mock) unix_ms: i64,
    /// Whether the clock is stopped.
    frozen: bool,
}

/// Body of a request that advances the clock.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Advance {
    seconds: u64,
}

/// Body of a request that sets the clock.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Jump {
    /// Time in RFC 3339 format.
    #[schemars(with = "Moment")]
    to: String,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/clock",
            "readClock",
            "Returns the state of the clock.",
            read,
        ),
        Route::new(
            Method::POST,
            "/clock/advance",
            "advanceClock",
            "Advances the clock. The mock sends deliveries that become due.",
            advance,
        ),
        Route::new(
            Method::POST,
            "/clock/freeze",
            "freezeClock",
            "Stops the clock.",
            freeze,
        ),
        Route::new(
            Method::POST,
            "/clock/resume",
            "resumeClock",
            "Starts the clock again from its current time.",
            resume,
        ),
        Route::new(
            Method::POST,
            "/clock/jump",
            "jumpClock",
            "Sets the clock.",
            jump,
        ),
    ]
}

pub(super) fn read(admin: &Admin, _: &str, _: Empty) -> Result<ClockView, ApiError> {
    let now = admin.core.now();
    Ok(ClockView {
        now: rfc3339(now),
        unix_ms: now.as_unix_millis(),
        frozen: admin.core.clock.is_frozen(),
    })
}

pub(super) fn advance(admin: &Admin, _: &str, by: Advance) -> Result<ClockView, ApiError> {
    let by = Duration::from_secs(by.seconds);
    if !admin.core.may_advance(by) {
        let why = "`seconds` would move the clock beyond the year 9999, the last year of RFC 3339";
        return Err(ApiError::conflict(why));
    }
    admin.core.clock.advance(by);
    read(admin, "", Empty {})
}

pub(super) fn freeze(admin: &Admin, _: &str, _: Empty) -> Result<ClockView, ApiError> {
    admin.core.clock.freeze();
    read(admin, "", Empty {})
}

pub(super) fn resume(admin: &Admin, _: &str, _: Empty) -> Result<ClockView, ApiError> {
    admin.core.clock.resume();
    read(admin, "", Empty {})
}

pub(super) fn jump(admin: &Admin, _: &str, jump: Jump) -> Result<ClockView, ApiError> {
    let to = DateTime::parse_from_rfc3339(&jump.to)
        .map_err(|_| ApiError::invalid("`to` is not a date and time in RFC 3339 format"))?;
    let to = Timestamp::from_unix_millis(to.timestamp_millis());
    admin.core.clock.jump_to(to);
    read(admin, "", Empty {})
}

/// Starts the clock and sets it to the system time.
pub(super) fn reset_to_system_time(core: &Core) {
    core.clock.resume();
    core.clock.jump_to(SystemClock::new().now());
}
