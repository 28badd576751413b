//! Content of the console's page.

use std::{fmt::Write as _, sync::Arc};

use axum::http::StatusCode;

use super::{button::button, table};
use crate::{
    mock::{
        cases::{CaseSnapshot, Cases},
        core::Core,
        deliveries::event::rfc3339,
        html::{self, Text},
        http::answer::Answer,
        oidc::keys::Keys,
        records::person::PersonRecord,
    },
    wire::cases::CaseStatus,
};

pub(super) fn page(core: &Arc<Core>) -> Answer {
    let mut main = format!(
        "<h1>Mock KYCPort</h1>\n<dl class=\"facts\"><dt>Issuer</dt><dd><code>{issuer}</code></dd>\
         <dt>Discovery</dt><dd><code>{origin}/api/oidc/.well-known/openid-configuration</code></dd>\
         <dt>Signs with</dt><dd><code>{kid}</code> {rotate}</dd>\
         <dt>Clock</dt><dd>{now} {clock}</dd></dl>\n",
        issuer = Text(&core.issuer),
        origin = Text(&core.origin),
        kid = Text(&Keys::new(Arc::clone(core)).active_kid()),
        rotate = button("rotate", &[], "Rotate keys"),
        now = Text(&rfc3339(core.now())),
        clock = [("1", "+1 h"), ("24", "+1 day"), ("8784", "+366 days")]
            .map(|(hours, label)| button("clock", &[("hours", hours)], label))
            .concat(),
    );
    people(&mut main, core);
    cases(&mut main, core);
    main.push_str(&table::deliveries(core));
    main.push_str(&table::requests(core));
    html::wide_page(StatusCode::OK, "Console", &main)
}

fn people(main: &mut String, core: &Arc<Core>) {
    main.push_str("<section><h2>People</h2>\n");
    let everyone = core.everyone();
    if everyone.is_empty() {
        main.push_str("<p class=\"hint\">There are no persons yet.</p>\n");
    }
    main.push_str("<ul class=\"rows\">\n");
    for person in &everyone {
        let _ = writeln!(
            main,
            "<li><div class=\"person\">{}</div><div class=\"actions\">{}</div></li>",
            html::card(person),
            actions(person)
        );
    }
    main.push_str(
        "</ul>\n<form method=\"post\" class=\"new\"><input type=\"hidden\" name=\"act\" \
         value=\"create\"><label>New person <input name=\"slug\" required maxlength=\"40\" \
         pattern=\"[A-Za-z0-9\\-]+\" placeholder=\"grace\"></label><label>Tier <select name=\"tier\">\
         <option value=\"t0\">not verified</option><option>t1</option>\
         <option selected>t2</option><option>t3</option></select></label>\
         <button>Create</button></form></section>\n",
    );
}

fn actions(person: &PersonRecord) -> String {
    let id = ("person", person.id.as_str());
    let mut actions = String::new();
    for tier in ["t1", "t2", "t3"] {
        actions += &button("verify", &[id, ("tier", tier)], &format!("Verify {tier}"));
    }
    for (act, label) in [
        ("pending", "Pending"),
        ("reject", "Reject"),
        ("expire", "Expire"),
    ] {
        actions += &button(act, &[id], label);
    }
    let aml = if person.aml_clear == Some(true) {
        "AML hit"
    } else {
        "AML clear"
    };
    actions + &button("aml", &[id], aml)
}

fn cases(main: &mut String, core: &Arc<Core>) {
    let all = Cases::new(Arc::clone(core)).all();
    if all.is_empty() {
        return;
    }
    main.push_str("<section><h2>Cases</h2>\n<ul class=\"rows\">\n");
    for case in all.iter().rev().take(20) {
        let _ = writeln!(main, "<li>{}</li>", case_row(core, case));
    }
    main.push_str("</ul></section>\n");
}

fn case_row(core: &Core, case: &CaseSnapshot) -> String {
    let whose = core.person(&case.person_id);
    let whose = whose.map_or_else(|| case.person_id.clone(), |person| person.name);
    let outcome = case.outcome.as_ref().map(|it| format!(": {it}"));
    let mut row = format!(
        "<div class=\"person\"><span class=\"who\"><span class=\"name\">{} to {}</span>\
         <code class=\"mail\">{}</code></span><span class=\"badges\">\
         <span class=\"badge\">{}{}</span></span></div>",
        Text(&whose),
        Text(case.level.as_str()),
        Text(&case.id),
        Text(case.status.as_str()),
        Text(&outcome.unwrap_or_default()),
    );
    if case.status == CaseStatus::Deciding {
        let id = ("case", case.id.as_str());
        let word = |outcome, label| button("review", &[id, ("outcome", outcome)], label);
        let _ = write!(
            row,
            "<div class=\"actions\">{}{}</div>",
            word("approved", "Approve"),
            word("rejected", "Reject")
        );
    }
    row
}
