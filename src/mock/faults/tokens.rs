//! Faults of the issued tokens.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use super::Rule;
use crate::mock::{
    core::{
        Core,
        rules::{Effect, Hook, Place},
    },
    jws::{TokenDraft, tamper::Tamper},
    persons::Person,
};

/// Builder for faults of the tokens that the token endpoint issues.
///
/// ```
/// # use kycport::mock::{MockIssuer, Tamper};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let kyc = MockIssuer::start().await;
/// let ada = kyc.person("ada").create();
/// let fault = kyc.tokens_for(&ada).id_token(Tamper::WrongAudience).once();
/// // … Ada logs in, and the app rejects the token …
/// # fault.keep();
/// # }
/// ```
#[must_use = "call `once`, `times` or `always` to install the fault"]
pub struct Tokens {
    core: Arc<Core>,
    person: Option<String>,
}

impl Tokens {
    pub(in crate::mock) fn new(core: Arc<Core>, person: Option<&Person>) -> Self {
        Self {
            core,
            person: person.map(|person| person.id().to_owned()),
        }
    }

    /// Applies a named manipulation to the ID token.
    pub fn id_token(self, tamper: Tamper) -> Rule {
        self.edit_id_token(move |draft| tamper.apply(draft))
            .named(format!("id_token({tamper:?})"))
    }

    /// Applies a named manipulation to the access token.
    pub fn access_token(self, tamper: Tamper) -> Rule {
        self.edit_access_token(move |draft| tamper.apply(draft))
            .named(format!("access_token({tamper:?})"))
    }

    /// Changes the ID token before the mock signs it. `edit` can change any part of the token.
    pub fn edit_id_token(self, edit: impl Fn(&mut TokenDraft) + Send + Sync + 'static) -> Rule {
        let effect = Effect::EditToken(Box::new(edit));
        let place = Place::IdToken(self.person);
        Rule::new(self.core, "edit_id_token".to_owned(), place, effect)
    }

    /// Changes the access token before the mock signs it. `edit` can change any part of the token.
    pub fn edit_access_token(self, edit: impl Fn(&mut TokenDraft) + Send + Sync + 'static) -> Rule {
        let effect = Effect::EditToken(Box::new(edit));
        let place = Place::AccessToken(self.person);
        Rule::new(self.core, "edit_access_token".to_owned(), place, effect)
    }
}

impl Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// Applies the installed rules to a token draft.
pub(in crate::mock) fn apply_rules(core: &Core, hook: Hook<'_>, draft: &mut TokenDraft) {
    let rules = core
        .rules()
        .take_all(hook, |effect| matches!(effect, Effect::EditToken(_)));
    for rule in rules {
        if let Effect::EditToken(edit) = &rule.effect {
            edit(draft);
        }
    }
}
