//! Tests that use only the public API. Each module tests one area of the source.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests and their helpers may panic"
)]

mod access_token;
#[expect(dead_code, reason = "a benchmark uses the other items")]
mod app_process;
mod assurance_clocks;
mod assurance_order;
mod assurance_setup;
mod authorize;
mod bad_tokens;
mod bearer;
mod browser;
mod browser_capture;
mod browser_headers;
mod callback;
mod capture;
mod case_errors;
mod cases;
mod chaos;
mod chaos_short;
mod csrf;
mod direct;
mod discovery;
mod doctor;
mod driven;
mod ending;
mod ending_at_once;
mod engines;
mod event_log;
mod event_log_memory;
mod every_token;
mod expiry;
mod floors;
mod foreign_node;
mod foreign_relying_party;
mod foreign_tokens;
mod guard;
mod handler_log;
mod id_token;
mod instances;
mod jwks;
mod key_set;
mod latest_assurance;
mod leaks;
mod login;
mod login_cookies;
mod login_keys;
mod login_repeats;
mod logout;
mod manual;
mod mint;
mod namespaces;
mod no_panic;
mod observed;
mod operations;
mod outages;
mod owners;
mod question_budget;
mod readiness;
mod reauthentication;
mod receiver_process;
mod recording_store;
mod refresh;
mod revocation;
mod sealed;
mod secrets;
#[expect(dead_code, reason = "a benchmark uses the other items")]
mod servers;
mod session;
mod session_rotation;
mod sign_in;
mod socket_faults;
mod sqlite_file;
mod stages;
mod status;
mod step_up;
mod step_up_state;
mod stored_forms;
mod story;
mod support;
mod test_handler;
mod threats;
mod tls;
mod tls_versions;
mod token_endpoint;
mod token_revocation;
mod userinfo;
mod visitor;
mod webhook_counting;
mod webhook_events;
mod webhook_killed;
mod webhook_names;
mod webhook_news;
mod webhook_not_kept;
mod webhook_receiver;
mod webhook_signature;
mod webhook_standard;
mod wire_settings;
