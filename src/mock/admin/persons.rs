//! Persons.

use std::sync::Arc;

use axum::http::Method;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Admin,
    no::No,
    route::{Nothing, Route},
};
use crate::mock::{
    core::Core,
    deliveries::event::rfc3339,
    persons::Person,
    records::person::PersonRecord,
    start::{PersonChange, PersonSpec},
};

/// A person as they stand now.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Person")]
pub(super) struct PersonView {
    /// The `sub` of the tokens, and the `person_id` of the API.
    id: String,
    slug: String,
    name: String,
    email: String,
    email_verified: bool,
    status: String,
    tier: String,
    /// `null` if it is left out of every answer.
    aml_clear: Option<bool>,
    expires_at: Option<String>,
    /// The tenants that see this person; `null` for all.
    visible_to: Option<Vec<String>>,
}

impl From<PersonRecord> for PersonView {
    fn from(person: PersonRecord) -> Self {
        Self {
            id: person.id,
            slug: person.slug,
            name: person.name,
            email: person.email,
            email_verified: person.email_verified,
            status: person.status.as_str().to_owned(),
            tier: person.tier.as_str().to_owned(),
            aml_clear: person.aml_clear,
            expires_at: person.expires.map(rfc3339),
            visible_to: person.visible_to.map(|all| all.into_iter().collect()),
        }
    }
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/persons",
            "listPersons",
            "Everyone, in the order of creation.",
            list,
        ),
        Route::new(
            Method::POST,
            "/persons",
            "createPerson",
            "Creates a person; one of the same slug is overwritten.",
            create,
        )
        .created(),
        Route::new(
            Method::GET,
            "/persons/{person}",
            "readPerson",
            "A person, by slug, id or email address.",
            read,
        ),
        Route::new(
            Method::PATCH,
            "/persons/{person}",
            "changePerson",
            "Changes a person. Where they stand differently after it, tenants are told.",
            change,
        ),
        Route::new(
            Method::DELETE,
            "/sessions",
            "endSessions",
            "Signs every browser out of the issuer.",
            sign_out,
        ),
    ]
}

pub(super) fn list(admin: &Admin, _: &str, _: Nothing) -> Result<Vec<PersonView>, No> {
    Ok(admin.core.everyone().into_iter().map(Into::into).collect())
}

pub(super) fn create(admin: &Admin, _: &str, person: PersonSpec) -> Result<PersonView, No> {
    let person = person.create(&admin.core)?;
    view(&admin.core, person.id())
}

pub(super) fn read(admin: &Admin, hint: &str, _: Nothing) -> Result<PersonView, No> {
    view(&admin.core, hint)
}

pub(super) fn change(admin: &Admin, hint: &str, to: PersonChange) -> Result<PersonView, No> {
    let person = find(&admin.core, hint)?;
    let now = admin.core.now();
    person.change(|record| to.apply(record, now));
    view(&admin.core, person.id())
}

pub(super) fn sign_out(admin: &Admin, _: &str, _: Nothing) -> Result<Nothing, No> {
    admin.core.grants().close_sessions();
    Ok(Nothing {})
}

/// By id, slug or email address.
pub(super) fn find(core: &Arc<Core>, hint: &str) -> Result<Person, No> {
    let record = core.person(hint).ok_or_else(|| No::not_found("person"))?;
    Ok(Person::new(Arc::clone(core), &record))
}

fn view(core: &Core, hint: &str) -> Result<PersonView, No> {
    let known = core.person(hint).ok_or_else(|| No::not_found("person"))?;
    Ok(known.into())
}
