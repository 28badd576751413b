//! Issues tokens without a login, for tests of code that reads tokens.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use serde_json::json;

use super::{
    client::Client,
    token::{access_token_claims, at_hash, id_token_claims},
};
use crate::{
    mock::{
        core::Core,
        jws::{TokenDraft, tamper::Tamper},
        persons::Person,
        random,
        records::{claims::SCOPES, grants::Consent},
    },
    wire::claims,
};

/// Handle that creates the same tokens as the token endpoint, but without a login.
#[derive(Clone)]
pub struct Mint {
    core: Arc<Core>,
}

impl Mint {
    pub(in crate::mock) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Creates an ID token with the claims of all scopes.
    pub fn id_token(&self, person: &Person, client: &Client, nonce: &str) -> Minted {
        let consent = self.consent(person, client, Some(nonce));
        let record = person.record();
        let claims = id_token_claims(&self.core, &consent, &record, None);
        self.minted("JWT", claims, None)
    }

    /// Creates an access token with all scopes. The userinfo endpoint accepts the token.
    pub fn access_token(&self, person: &Person, client: &Client) -> Minted {
        let consent = self.consent(person, client, None);
        let claims = access_token_claims(&self.core, &consent);
        self.minted(claims::TYP_ACCESS_TOKEN, claims, Some(consent))
    }

    fn minted(
        &self,
        typ: &str,
        claims: serde_json::Map<String, serde_json::Value>,
        access: Option<Consent>,
    ) -> Minted {
        let key = self.core.keys().active();
        Minted {
            core: Arc::clone(&self.core),
            draft: TokenDraft::new(typ, &key, claims),
            access,
        }
    }

    fn consent(&self, person: &Person, client: &Client, nonce: Option<&str>) -> Consent {
        Consent {
            client_id: client.id().to_owned(),
            person_id: person.id().to_owned(),
            scopes: SCOPES.map(str::to_owned).to_vec(),
            nonce: nonce.map(str::to_owned),
            auth_time: self.core.now(),
            acr: person.record().verified_tier(),
        }
    }
}

impl Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mint").finish_non_exhaustive()
    }
}

/// Unsigned token. [`sign`](Self::sign) signs the token.
#[must_use = "call `sign` to get the token"]
#[derive(Clone)]
pub struct Minted {
    core: Arc<Core>,
    draft: TokenDraft,
    access: Option<Consent>,
}

impl Minted {
    /// Adds the `at_hash` of this access token to the claims.
    pub fn for_access_token(mut self, access_token: &str) -> Self {
        let hash = json!(at_hash(access_token));
        self.draft.claims.insert(claims::AT_HASH.to_owned(), hash);
        self
    }

    /// Applies a named manipulation.
    pub fn tamper(mut self, tamper: Tamper) -> Self {
        tamper.apply(&mut self.draft);
        self
    }

    /// Applies a custom change.
    pub fn edit(mut self, edit: impl FnOnce(&mut TokenDraft)) -> Self {
        edit(&mut self.draft);
        self
    }

    /// Signs the token and returns it.
    pub fn sign(self) -> String {
        let now = self.core.now();
        let expires = now.saturating_add(self.core.switches().access_token_lifetime);
        let token = self.draft.finish(&self.core.keys());
        if let Some(consent) = self.access {
            let family = random::name("family_");
            self.core
                .grants()
                .note_access(now, &token, consent, family, expires);
        }
        token
    }
}

impl Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Minted").field(&self.draft).finish()
    }
}
