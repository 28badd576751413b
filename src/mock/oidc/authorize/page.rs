//! Sign-in page. The user selects a person and allows or denies the request.

use std::fmt::Write as _;

use axum::http::StatusCode;

use super::request::AuthorizeRequest;
use crate::mock::{
    core::Core,
    html::{Text, card, page, way_back},
    http::answer::Answer,
    records::person::PersonRecord,
};

/// Creates the sign-in page. The page preselects the person who is signed in. During a step-up, the
/// Enter key therefore selects this person. The page works without scripts. The browser sends the
/// form to the URL of the page, including the query.
pub(super) fn choose(
    core: &Core,
    request: &AuthorizeRequest,
    preselected: Option<&PersonRecord>,
    is_signed_in: bool,
) -> Answer {
    let persons = core.everyone();
    let client = Text(&request.client.name);
    let mut main = format!(
        "<h1>{verb} to {client}</h1>\n<p>{client} asks for your identity{}.</p>\n\
         <ul class=\"scopes\" aria-label=\"What {client} asks for\">",
        asked_tier(&request.tiers),
        verb = if is_signed_in { "Continue" } else { "Sign in" },
    );
    for scope in &request.scopes {
        let _ = write!(main, "<li>{}</li>", Text(describe(scope)));
    }
    main.push_str("</ul>\n<form method=\"post\">\n");
    if persons.is_empty() {
        main.push_str(
            "<p>There are no persons. Create a person with \
             <code>kyc.person(\"ada\").create()</code>, or start the mock with its sample \
             persons.</p>\n",
        );
    } else {
        main.push_str("<fieldset>\n<legend>Choose a person</legend>\n");
        let chosen = preselected
            .or_else(|| persons.first())
            .map(|p| p.id.as_str());
        for person in &persons {
            radio(&mut main, person, chosen == Some(&person.id));
        }
        main.push_str("</fieldset>\n");
    }
    main.push_str("<div class=\"buttons\">\n");
    if !persons.is_empty() {
        // The Enter key presses the first button.
        main.push_str("<button class=\"allow\" name=\"decision\" value=\"allow\">Allow</button>\n");
    }
    main.push_str("<button name=\"decision\" value=\"deny\">Deny</button>\n</div>\n</form>\n");
    main.push_str(&way_back(&request.back.redirect_uri));
    page(StatusCode::OK, "Sign in", &main)
}

fn radio(html: &mut String, person: &PersonRecord, checked: bool) {
    let _ = writeln!(
        html,
        "<label class=\"person\"><input type=\"radio\" name=\"person\" value=\"{id}\" \
         required{checked}>{card}</label>",
        id = Text(&person.id),
        checked = if checked { " checked" } else { "" },
        card = card(person),
    );
}

fn asked_tier(tiers: &[String]) -> String {
    if tiers.is_empty() {
        return String::new();
    }
    format!(
        " and for a verification at tier {}",
        Text(&tiers.join(" or "))
    )
}

fn describe(scope: &str) -> &str {
    match scope {
        "openid" => "Your identifier",
        "email" => "Your email address",
        "profile" => "Your name",
        "kyc" => "Your verification status",
        other => other,
    }
}
