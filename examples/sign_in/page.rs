//! HTML pages of the example.

use kycport::{Assurance, SignedIn};

pub(crate) const STYLE: &str = include_str!("style.css");
pub(crate) const SCRIPT: &str = include_str!("storage.js");
pub(crate) const SESSION_SCRIPT: &str = include_str!("../session.js");
pub(crate) const VAULT_SCRIPT: &str = include_str!("vault.js");

pub(crate) fn signed_out() -> String {
    page(
        "Acme Bank",
        "<h1>Acme Bank</h1>\
         <p>Open an account without sending us a single document: KYCPort knows you already.</p>\
         <p><a class=\"button\" id=\"sign-in\" href=\"/auth/login\">Sign in with KYCPort</a></p>",
        "",
    )
}

pub(crate) fn signed_in(person: &SignedIn) -> String {
    let assurance = person.assurance();
    let unknown = || "not known".to_owned();
    let status = assurance
        .kyc_status
        .as_ref()
        .map_or_else(unknown, ToString::to_string);
    let tier = assurance
        .kyc_tier
        .as_ref()
        .map_or_else(unknown, ToString::to_string);
    let aml = match assurance.aml_clear {
        Some(true) => "clear",
        Some(false) => "not clear",
        None => "not known",
    };
    let name = name_of(person);
    let rows = [
        row("Status", &status),
        row("Tier", &tier),
        row("AML", aml),
        row("Email", person.email().unwrap_or("not shared")),
        row("Person", person.subject()),
    ]
    .concat();
    personal_page(
        "Acme Bank",
        &format!(
            "<h1>Welcome, {}</h1><dl>{rows}</dl>\
             <p class=\"action\"><a class=\"button\" id=\"vault\" href=\"/vault\">Open the vault</a> \
             <small>needs t2</small></p>\
             <form method=\"post\" action=\"/auth/logout\">\
             <button class=\"quiet\" id=\"sign-out\">Sign out</button></form>",
            escape(name)
        ),
        "",
    )
}

fn row(label: &str, value: &str) -> String {
    let (field, value) = (label.to_lowercase(), escape(value));
    format!("<dt>{label}</dt><dd data-field=\"{field}\">{value}</dd>")
}

pub(crate) fn vault(person: &SignedIn, assurance: &Assurance, on_the_mock: bool) -> String {
    // The form opens another tab, as a page of KYCPort would. Only the webhook informs this app.
    let reject = "<form class=\"action\" method=\"post\" action=\"/at-kycport/reject\" target=\"_blank\">\
                  <button class=\"quiet\" id=\"reject\">Reject me at KYCPort</button> \
                  <small>the mock sends a webhook</small></form>";
    personal_page(
        "The vault",
        &format!(
            "<div id=\"locked\" hidden><h1>The vault is locked</h1>\
             <p>KYCPort has sent a new result about you.</p>\
             <p><a class=\"button\" href=\"/vault\">See what is needed</a></p></div>\
             <div id=\"vault\" data-is=\"open\"><h1 id=\"open-vault\">The vault</h1>\
             <p>It is open for <strong>{}</strong>, who is verified to tier {}.</p>\
             <form class=\"action\" method=\"post\" action=\"/withdraw\">\
             <button id=\"withdraw\">Withdraw 100 €</button> \
             <small>asks KYCPort again</small></form>{}</div>\
             <p><a href=\"/\">Home</a></p>",
            escape(name_of(person)),
            assurance
                .kyc_tier
                .as_ref()
                .map_or_else(String::new, |tier| escape(tier.as_str())),
            if on_the_mock { reject } else { "" },
        ),
        "<script src=\"/vault.js\"></script>",
    )
}

pub(crate) fn withdrawn(person: &SignedIn) -> String {
    personal_page(
        "100 € were paid",
        &format!(
            "<h1 id=\"withdrawn\">100 € were paid</h1>\
             <p>The money was paid to <strong>{}</strong>. KYCPort confirmed the verification immediately \
             before.</p>\
             <p><a href=\"/vault\">Back to the vault</a></p>",
            escape(name_of(person))
        ),
        "",
    )
}

/// Page that shows data of a person. The script hides or reloads the page after the session has
/// ended.
fn personal_page(title: &str, main: &str, scripts: &str) -> String {
    let scripts = format!("<script src=\"/session.js\"></script>{scripts}");
    page(title, main, &scripts)
}

fn name_of(person: &SignedIn) -> &str {
    person.name().or(person.email()).unwrap_or(person.subject())
}

fn page(title: &str, main: &str, scripts: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><link rel=\"stylesheet\" href=\"/style.css\">\
         <link rel=\"icon\" href=\"data:,\"></head>\
         <body><main>{main}</main>\
         <aside aria-labelledby=\"storage\"><h2 id=\"storage\">What this browser holds</h2>\
         <dl><dt>document.cookie</dt><dd id=\"cookie\">…</dd>\
         <dt>localStorage</dt><dd id=\"local\">…</dd>\
         <dt>sessionStorage</dt><dd id=\"session\">…</dd></dl>\
         <p>Signed in, it holds one httpOnly cookie, which no script can read. The tokens are on the server.</p></aside>\
         <script src=\"/storage.js\"></script>{scripts}</body></html>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
