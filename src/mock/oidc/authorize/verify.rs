//! Verification page for a person below the requested tier (K15, K19).

use std::fmt::Write as _;

use axum::http::StatusCode;

use super::request::AuthorizeRequest;
use crate::{
    mock::{
        html::{Text, card, page, way_back},
        http::answer::Answer,
        records::{person::PersonRecord, verification::Verification},
    },
    wire::kyc::{KycStatus, KycTier},
};

/// Returns the requested tier if the person does not reach it.
pub(super) fn unreached_tier<'a>(
    request: &'a AuthorizeRequest,
    person: &PersonRecord,
) -> Option<&'a KycTier> {
    request.tier.as_ref().filter(|asked| !person.reaches(asked))
}

/// Creates the verification page. The page works without scripts at the URL of the sign-in page.
/// The form of the page repeats the person and the decision.
pub(super) fn offer(request: &AuthorizeRequest, person: &PersonRecord, asked: &KycTier) -> Answer {
    let client = Text(&request.client.name);
    let mut main = format!(
        "<h1>Verify for {client}</h1>\n\
         <p>{client} requests tier <strong>{asked}</strong>. Your tier is <strong>{own}</strong>{status}.</p>\n\
         <div class=\"person\">{card}</div>\n\
         <p class=\"hint\">KYCPort would ask for documents and a selfie here. In the mock, you \
         choose the result, and the mock stores it.</p>\n\
         <form method=\"post\">\n\
         <input type=\"hidden\" name=\"person\" value=\"{id}\">\n\
         <input type=\"hidden\" name=\"decision\" value=\"allow\">\n",
        asked = Text(asked.as_str()),
        own = Text(person.tier.as_str()),
        status = status_clause(&person.status),
        card = card(person),
        id = Text(&person.id),
    );
    main += &outcomes();
    main += "</form>\n";
    main += &way_back(&request.back.redirect_uri);
    page(StatusCode::OK, "Verify", &main)
}

/// Renders the buttons that end a verification. The Enter key presses the first button.
pub(in crate::mock) fn outcomes() -> String {
    let mut html = "<div class=\"buttons outcomes\">\n".to_owned();
    for (verification, class, label) in [
        (Verification::Pass, "allow", "Verify"),
        (Verification::Fail, "", "Fail"),
        (Verification::Pending, "", "Stay pending"),
        (Verification::Skip, "wide", "Go back without verifying"),
    ] {
        let _ = writeln!(
            html,
            "<button class=\"{class}\" name=\"verification\" value=\"{}\">{label}</button>",
            verification.as_str()
        );
    }
    html.push_str("</div>\n");
    html
}

/// Renders the status of a person as the end of a sentence that starts with the person's tier.
pub(in crate::mock) fn status_clause(status: &KycStatus) -> String {
    match status {
        KycStatus::Verified => String::new(),
        KycStatus::Pending => ", and your verification is pending".to_owned(),
        KycStatus::Rejected => ", and your verification was rejected".to_owned(),
        KycStatus::Expired => ", and your verification has expired".to_owned(),
        KycStatus::Unverified => ", and you are not verified".to_owned(),
        KycStatus::Unknown(other) => format!(", and your verification is {}", Text(other)),
    }
}
