//! Tests that the mock issuer follows the contract. A mock that accepts invalid requests would hide
//! bugs (case 136).
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

#[path = "mock_own/bad_input.rs"]
mod bad_input;
#[path = "mock_own/browser.rs"]
mod browser;
#[path = "mock_own/cases.rs"]
mod cases;
#[path = "mock_own/console.rs"]
mod console;
#[path = "mock_own/contract.rs"]
mod contract;
#[path = "mock_own/fault.rs"]
mod fault;
#[path = "mock_own/hosted.rs"]
mod hosted;
#[path = "mock_own/life.rs"]
mod life;
#[path = "mock_own/llms.rs"]
mod llms;
#[path = "mock_own/observed.rs"]
mod observed;
#[path = "mock_own/probe.rs"]
mod probe;
#[path = "mock_own/rotation.rs"]
mod rotation;
#[path = "mock_own/socket.rs"]
mod socket;
#[path = "mock_own/standards.rs"]
mod standards;
#[path = "mock_own/status.rs"]
mod status;
#[path = "mock_own/strict.rs"]
mod strict;
#[path = "mock_own/support.rs"]
mod support;
#[path = "mock_own/tokens.rs"]
mod tokens;
#[path = "mock_own/verify.rs"]
mod verify;

// Tests that the mock's case API follows the contract.
#[path = "mock_own/case_desk.rs"]
mod case_desk;
#[path = "mock_own/case_edges.rs"]
mod case_edges;
#[path = "mock_own/case_rules.rs"]
mod case_rules;

// Tests that the mock sends webhook deliveries as the contract says.
#[path = "mock_own/receiver.rs"]
mod receiver;
#[path = "mock_own/webhook_delivery.rs"]
mod webhook_delivery;
#[path = "mock_own/webhook_faults.rs"]
mod webhook_faults;
#[path = "mock_own/webhooks.rs"]
mod webhooks;

// Tests that the admin API controls the mock.
#[path = "mock_own/admin.rs"]
mod admin;
#[path = "mock_own/admin_desk.rs"]
mod admin_desk;
#[path = "mock_own/admin_schema.rs"]
mod admin_schema;
#[path = "mock_own/admin_verbs.rs"]
mod admin_verbs;
#[path = "mock_own/sandboxes.rs"]
mod sandboxes;
