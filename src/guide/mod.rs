//! The manual. The manual is part of the crate. The build therefore finds links to renamed items.

/// Settings: environment variables, builder methods, defaults and limits.
#[doc = include_str!("settings.md")]
pub mod settings {}

/// Guards: requirements on routes, step-up, bearer tokens and error codes.
#[doc = include_str!("guards.md")]
pub mod guards {}

/// Pages and scripts: links, forms, `/auth/me`, CSRF and the Content Security Policy.
#[doc = include_str!("browser.md")]
pub mod browser {}

/// Webhooks: the receiver, its handler, transactions and signature schemes.
#[doc = include_str!("webhooks.md")]
pub mod webhooks {}

/// Capture: a page of your app that takes photos of the document and the face.
#[doc = include_str!("capture.md")]
pub mod capture {}

/// Testing: the mock issuer in Rust tests, with faults, clock, webhooks and browser.
#[doc = include_str!("testing.md")]
pub mod testing {}

/// The program `kycport-mock`: options, commands and the admin API.
#[doc = include_str!("mock_program.md")]
pub mod mock_program {}

/// Stores, and how several instances form one app.
#[doc = include_str!("instances.md")]
pub mod instances {}

/// Rotation of secrets while the app runs.
#[doc = include_str!("secrets.md")]
pub mod secrets {}

/// Log events, metrics and alerts, each with a remedy.
#[doc = include_str!("operations.md")]
pub mod operations {}

/// Guarantees and limits of the crate, and responsibilities of the app.
#[doc = include_str!("promises.md")]
pub mod promises {}

/// Facts about KYCPort's protocol that the crate relies on, each with its source.
#[doc = include_str!("contract.md")]
pub mod contract {}

/// Bad inputs, faults and traps in the dependencies, each with the reaction of the SDK and a test.
#[doc = include_str!("threats.md")]
pub mod threats {}

/// Architecture: layers, the store, and the main flows.
#[doc = include_str!("architecture.md")]
pub mod architecture {}

/// Measurements: failures under load, requests, and the size of sessions.
#[doc = include_str!("figures.md")]
pub mod figures {}

/// Contributing: how to run the tests, structure and house rules.
#[doc = include_str!("contributing.md")]
pub mod contributing {}
