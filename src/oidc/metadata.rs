//! Validation of the discovery document.

use url::Url;

use crate::{
    http::{Origin, is_transport_secure},
    strict_json,
    wire::{authorize, claims, discovery::ProviderMetadata},
};

/// Parameters of the authorization endpoint that only this crate may set.
pub(crate) const RESERVED_PARAMETERS: [&str; 12] = [
    authorize::RESPONSE_TYPE,
    authorize::CLIENT_ID,
    authorize::REDIRECT_URI,
    authorize::SCOPE,
    authorize::STATE,
    authorize::NONCE,
    authorize::CODE_CHALLENGE,
    authorize::CODE_CHALLENGE_METHOD,
    authorize::MAX_AGE,
    authorize::LOGIN_HINT,
    "request",
    "request_uri",
];

/// Meaning of an omitted capability in the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UndeclaredCapabilities {
    /// The capability is missing, as RFC 8414 section 2 defines for
    /// `code_challenge_methods_supported`.
    #[default]
    Reject,
    /// The provider has the capabilities that KYCPort documents: `code` (K10), `S256` (K11) and
    /// `EdDSA` (K22). If the metadata contains the list of a capability, the list must contain
    /// these values.
    AssumeDocumented,
}

/// Rules for the validation of the discovery document.
#[derive(Debug, Clone)]
pub(crate) struct MetadataPolicy {
    pub(crate) issuer: String,
    pub(crate) discovery_url: Url,
    pub(crate) allowed_origins: Vec<Origin>,
    pub(crate) undeclared: UndeclaredCapabilities,
}

/// Validated metadata.
#[derive(Debug, Clone)]
pub(super) struct VerifiedProvider {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) userinfo_endpoint: Url,
    pub(super) jwks_uri: Url,
    /// URL of the revocation endpoint. A URL on a forbidden origin is treated as absent.
    #[cfg(feature = "web")]
    pub(super) revocation_endpoint: Option<Url>,
    /// Whether every authorization response contains `iss` (RFC 9207 section 3).
    pub(super) sends_iss: bool,
}

/// Error from the validation of a discovery document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The document is not JSON with the members that KYCPort documents (K1).
    #[error("the discovery document is not JSON with the documented members")]
    Malformed,
    /// The `issuer` is not the configured issuer, byte for byte.
    #[error("the issuer of the discovery document is not the configured issuer")]
    IssuerMismatch,
    /// An endpoint is not an HTTPS URL, contains credentials, or is on a host that is not
    /// configured.
    #[error(
        "the endpoint {0} is not allowed: it must be https, on a host of the configuration or of \
         `allow_endpoint_origin`"
    )]
    Endpoint(&'static str),
    /// A capability that KYCPort documents is missing from a list (RFC 9700 section 4.8).
    #[error("{0} in the discovery document lacks the value that KYCPort documents")]
    Capability(&'static str),
}

impl MetadataPolicy {
    pub(super) fn verify(&self, json: &[u8]) -> Result<VerifiedProvider, MetadataError> {
        let metadata: ProviderMetadata =
            strict_json::document(json).ok_or(MetadataError::Malformed)?;
        if metadata.issuer != self.issuer {
            return Err(MetadataError::IssuerMismatch);
        }
        let authorization_endpoint =
            self.endpoint("authorization_endpoint", &metadata.authorization_endpoint)?;
        let has_reserved = authorization_endpoint
            .query_pairs()
            .any(|(name, _)| RESERVED_PARAMETERS.contains(&name.as_ref()));
        if has_reserved {
            return Err(MetadataError::Endpoint("authorization_endpoint"));
        }
        for (list, name, documented) in [
            (
                &metadata.response_types_supported,
                "response_types_supported",
                "code",
            ),
            (
                &metadata.code_challenge_methods_supported,
                "code_challenge_methods_supported",
                "S256",
            ),
            (
                &metadata.id_token_signing_alg_values_supported,
                "id_token_signing_alg_values_supported",
                claims::ALG_EDDSA,
            ),
        ] {
            self.require_capability(list.as_deref(), name, documented)?;
        }
        Ok(VerifiedProvider {
            authorization_endpoint,
            token_endpoint: self.endpoint("token_endpoint", &metadata.token_endpoint)?,
            userinfo_endpoint: self.endpoint("userinfo_endpoint", &metadata.userinfo_endpoint)?,
            jwks_uri: self.endpoint("jwks_uri", &metadata.jwks_uri)?,
            #[cfg(feature = "web")]
            revocation_endpoint: metadata
                .revocation_endpoint
                .as_deref()
                .and_then(|text| self.endpoint("revocation_endpoint", text).ok()),
            sends_iss: metadata
                .authorization_response_iss_parameter_supported
                .unwrap_or(false),
        })
    }

    fn endpoint(&self, name: &'static str, text: &str) -> Result<Url, MetadataError> {
        Url::parse(text)
            .ok()
            .filter(|url| {
                is_transport_secure(url)
                    && url.username().is_empty()
                    && url.password().is_none()
                    && url.fragment().is_none()
                    && self.is_allowed(url)
            })
            .ok_or(MetadataError::Endpoint(name))
    }

    /// Returns whether the configuration allows the host. The discovery document must not send the
    /// client secret to other hosts.
    fn is_allowed(&self, url: &Url) -> bool {
        let origin = Origin::of(url);
        let own = Origin::of(&self.discovery_url);
        let issuer = Url::parse(&self.issuer).ok();
        origin.is_some()
            && (origin == own
                || origin == issuer.as_ref().and_then(Origin::of)
                || origin.is_some_and(|it| self.allowed_origins.contains(&it)))
    }

    fn require_capability(
        &self,
        list: Option<&[String]>,
        name: &'static str,
        documented: &str,
    ) -> Result<(), MetadataError> {
        let is_listed = match list {
            Some(list) => list.iter().any(|entry| entry == documented),
            None => self.undeclared == UndeclaredCapabilities::AssumeDocumented,
        };
        if is_listed {
            Ok(())
        } else {
            Err(MetadataError::Capability(name))
        }
    }
}
