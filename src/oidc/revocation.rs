//! Token revocation (RFC 7009), if the discovery document contains a revocation endpoint.

use http::header::{ACCEPT, CONTENT_TYPE};
use url::{Url, form_urlencoded};

use super::settings::Settings;
use crate::{
    http::{HttpClient, TransportError},
    observe::Reason,
    secret::Secret,
};

/// Maximum size of a response, in bytes. The client uses only the status of the response.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Kind of a token, with its name in RFC 7009.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RevokedToken {
    Refresh,
    Access,
}

/// Reason why KYCPort did not revoke a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RevocationError {
    #[error("the revocation endpoint could not be reached: {0}")]
    Transport(TransportError),
    #[error("the revocation endpoint responded with status {0}")]
    Status(u16),
}

impl Reason for RevocationError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Transport(error) => error.reason(),
            Self::Status(_) => "status",
        }
    }
}

/// Sends the revocation request for one token. The client authenticates as for a token request.
pub(super) async fn revoke(
    http: &HttpClient,
    settings: &Settings,
    client_secret: Option<&Secret>,
    endpoint: &Url,
    token: (RevokedToken, &Secret),
) -> Result<(), RevocationError> {
    let request = http::Request::post(endpoint.as_str())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json")
        .body(form(settings, client_secret, token).into_bytes())
        .map_err(|_| RevocationError::Transport(TransportError::Request))?;
    let answer = http
        .send(request, MAX_ANSWER_BYTES)
        .await
        .map_err(RevocationError::Transport)?;
    if answer.status.is_success() {
        Ok(())
    } else {
        Err(RevocationError::Status(answer.status.as_u16()))
    }
}

fn form(
    settings: &Settings,
    client_secret: Option<&Secret>,
    (kind, token): (RevokedToken, &Secret),
) -> String {
    let hint = match kind {
        RevokedToken::Refresh => "refresh_token",
        RevokedToken::Access => "access_token",
    };
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("token", token.expose())
        .append_pair("token_type_hint", hint)
        .append_pair("client_id", &settings.client_id);
    if let Some(secret) = client_secret {
        form.append_pair("client_secret", secret.expose());
    }
    form.finish()
}
