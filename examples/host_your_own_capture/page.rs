//! HTML pages of the example.

use kycport::SignedIn;

pub(crate) const STYLE: &str = include_str!("style.css");
pub(crate) const SCRIPT: &str = include_str!("capture.js");
pub(crate) const SESSION_SCRIPT: &str = include_str!("../session.js");

pub(crate) fn signed_out() -> String {
    page(include_str!("signed_out.html"))
}

pub(crate) fn signed_in(person: &SignedIn) -> String {
    let assurance = person.assurance();
    let unknown = || "not known".to_owned();
    let status = assurance.kyc_status.as_ref();
    let tier = assurance.kyc_tier.as_ref();
    let main = include_str!("signed_in.html")
        .replace(
            "{status}",
            &escape(&status.map_or_else(unknown, ToString::to_string)),
        )
        .replace(
            "{tier}",
            &escape(&tier.map_or_else(unknown, ToString::to_string)),
        )
        // Replace the name last, because a name may contain a placeholder.
        .replace("{name}", &escape(name_of(person)));
    page(&main)
}

pub(crate) fn name_of(person: &SignedIn) -> &str {
    person.name().unwrap_or(person.subject())
}

fn page(main: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Acme Bank</title><link rel=\"stylesheet\" href=\"/style.css\">\
         <link rel=\"icon\" href=\"data:,\"></head><body>{main}</body></html>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
