//! Admin API routes for persons and browser sessions.

use std::sync::Arc;

use axum::http::Method;

use super::{
    Admin,
    api_error::ApiError,
    route::{Empty, Route},
};
use crate::mock::{
    core::Core,
    persons::Person,
    start::person::{PersonChange, PersonSpec, PersonView},
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/persons",
            "listPersons",
            "Lists all persons in the order of creation.",
            list,
        ),
        Route::new(
            Method::POST,
            "/persons",
            "createPerson",
            "Creates a person. Replaces an existing person with the same slug.",
            create,
        )
        .created(),
        Route::new(
            Method::GET,
            "/persons/{person}",
            "readPerson",
            "Returns a person, by slug, ID or email address.",
            read,
        ),
        Route::new(
            Method::PATCH,
            "/persons/{person}",
            "changePerson",
            "Changes a person. The mock delivers a change of status, tier or AML result to webhook endpoints.",
            change,
        ),
        Route::new(
            Method::DELETE,
            "/sessions",
            "endSessions",
            "Ends all browser sessions at the issuer.",
            sign_out,
        ),
    ]
}

pub(super) fn list(admin: &Admin, _: &str, _: Empty) -> Result<Vec<PersonView>, ApiError> {
    Ok(admin.core.everyone().into_iter().map(Into::into).collect())
}

pub(super) fn create(admin: &Admin, _: &str, person: PersonSpec) -> Result<PersonView, ApiError> {
    let person = person.create(&admin.core)?;
    view(&admin.core, person.id())
}

pub(super) fn read(admin: &Admin, hint: &str, _: Empty) -> Result<PersonView, ApiError> {
    view(&admin.core, hint)
}

pub(super) fn change(admin: &Admin, hint: &str, to: PersonChange) -> Result<PersonView, ApiError> {
    let person = find(&admin.core, hint)?;
    let now = admin.core.now();
    person.change(|record| to.apply(record, now));
    view(&admin.core, person.id())
}

pub(super) fn sign_out(admin: &Admin, _: &str, _: Empty) -> Result<Empty, ApiError> {
    admin.core.grants().close_sessions();
    Ok(Empty {})
}

/// Finds a person by ID, slug or email address.
pub(super) fn find(core: &Arc<Core>, hint: &str) -> Result<Person, ApiError> {
    let record = core
        .person(hint)
        .ok_or_else(|| ApiError::not_found("person"))?;
    Ok(Person::new(Arc::clone(core), &record))
}

fn view(core: &Core, hint: &str) -> Result<PersonView, ApiError> {
    let known = core
        .person(hint)
        .ok_or_else(|| ApiError::not_found("person"))?;
    Ok(known.into())
}
