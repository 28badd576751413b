//! `/llms.txt`, the guide for coding assistants, with the URLs of this mock (K71).

use axum::http::{StatusCode, header::CACHE_CONTROL};

use crate::mock::{
    core::Core,
    http::{answer::Answer, endpoint::Endpoint},
};

pub(super) fn llms_txt(core: &Core) -> Answer {
    let switches = core.switches();
    let text = TEMPLATE
        .replace("{discovery}", Endpoint::Discovery.path())
        .replace("{authorize}", Endpoint::Authorize.path())
        .replace("{token}", Endpoint::Token.path())
        .replace("{userinfo}", Endpoint::Userinfo.path())
        .replace("{verify}", Endpoint::Verify.path())
        .replace("{status}", Endpoint::Status.path())
        .replace("{cases}", Endpoint::OpenCase.path())
        .replace("{upload}", Endpoint::UploadCase.path())
        .replace("{decide}", Endpoint::DecideCase.path())
        .replace("{person_id}", "PERSON_ID")
        .replace("{case_id}", "CASE_ID")
        .replace("{tier_parameter}", &switches.tier_parameter)
        .replace("{webhook_header}", &switches.webhook_header)
        .replace("{error_field}", switches.api_error_field)
        .replace("{origin}", &core.origin)
        .replace("{issuer}", &core.issuer);
    Answer::new(StatusCode::OK, "text/plain; charset=utf-8", text)
        .with(CACHE_CONTROL, "public, max-age=600")
}

const TEMPLATE: &str = include_str!("llms.txt");
