//! Faults that edit documents and responses.

use std::sync::Arc;

use serde_json::Value;

use super::MockIssuer;
use crate::mock::{
    faults::Rule,
    http::endpoint::Endpoint,
    persons::{Person, status},
};

/// Faults that edit documents and responses.
impl MockIssuer {
    /// Edits the discovery document.
    pub fn edit_discovery(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Rule {
        self.on(Endpoint::Discovery).edit(edit)
    }

    /// Edits the JSON Web Key Set.
    pub fn edit_jwks(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Rule {
        self.on(Endpoint::Jwks).edit(edit)
    }

    /// Edits a successful response of the token endpoint.
    pub fn edit_token_response(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Rule {
        self.on(Endpoint::Token).edit(edit)
    }

    /// Edits a successful response of the userinfo endpoint.
    pub fn edit_userinfo(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Rule {
        self.on(Endpoint::Userinfo).edit(edit)
    }

    /// Edits a successful response of the status endpoint.
    pub fn edit_status(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Rule {
        self.on(Endpoint::Status).edit(edit)
    }

    /// Responds to every status request with the status of `person`, even if the request is about
    /// another person.
    ///
    /// The response contains the `person_id` of `person`. A client can therefore detect the
    /// mismatch.
    pub fn answer_status_of(&self, person: &Person) -> Rule {
        // The rule has a weak reference to the core, because the core owns the rule. A strong
        // reference would leak the core and the rule.
        let (core, id) = (Arc::downgrade(self.core()), person.id().to_owned());
        self.edit_status(move |response| {
            if let Some(core) = core.upgrade()
                && let Some(person) = core.person(&id)
            {
                *response = status::about(&person, &core.switches(), true);
            }
        })
        .named("Status.answer_status_of")
    }

    /// Edits the parameters of an authorization response or of an authorization error response.
    pub fn edit_authorization_response(
        &self,
        edit: impl Fn(&mut Vec<(String, String)>) + Send + Sync + 'static,
    ) -> Rule {
        self.on(Endpoint::Authorize).edit_params(edit)
    }
}
