//! Answers that are to say otherwise than they should.

use std::sync::Arc;

use serde_json::Value;

use super::MockIssuer;
use crate::mock::{
    faults::Rule,
    http::endpoint::Endpoint,
    persons::{Person, status},
};

/// What its documents and answers say instead.
impl MockIssuer {
    /// Changes the discovery document.
    pub fn edit_discovery(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Rule {
        self.on(Endpoint::Discovery).edit(edit)
    }

    /// Changes the key set.
    pub fn edit_jwks(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Rule {
        self.on(Endpoint::Jwks).edit(edit)
    }

    /// Changes a successful answer of the token endpoint.
    pub fn edit_token_response(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Rule {
        self.on(Endpoint::Token).edit(edit)
    }

    /// Changes a successful answer of userinfo.
    pub fn edit_userinfo(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Rule {
        self.on(Endpoint::Userinfo).edit(edit)
    }

    /// Changes a successful answer of the status endpoint.
    pub fn edit_status(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Rule {
        self.on(Endpoint::Status).edit(edit)
    }

    /// Answers every status question with what is known of `person`, whoever was asked about. The
    /// answer names them, as `person_id`: without it, nobody could tell.
    pub fn answer_status_of(&self, person: &Person) -> Rule {
        // A rule that held the issuer, which holds the rule, would keep both for ever.
        let (core, id) = (Arc::downgrade(self.core()), person.id().to_owned());
        self.edit_status(move |told| {
            if let Some(core) = core.upgrade()
                && let Some(person) = core.person(&id)
            {
                *told = status::about(&person, &core.switches(), true);
            }
        })
        .named("Status.answer_status_of")
    }

    /// Changes the parameters that the browser carries back to the client, errors too.
    pub fn edit_authorization_response(
        &self,
        edit: impl Fn(&mut Vec<(String, String)>) + Send + Sync + 'static,
    ) -> Rule {
        self.on(Endpoint::Authorize).edit_params(edit)
    }
}
