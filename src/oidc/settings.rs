//! Settings of the OpenID Connect client.

use std::time::Duration;

use super::{
    access_token::AccessTokenProfile, algorithm::AlgorithmNames, metadata::MetadataPolicy,
};
use crate::wire::status_aliases::StatusAliases;

/// Settings of the OpenID Connect client, which [`Config`](crate::Config) validates.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    /// Redirect URI as configured, byte for byte. KYCPort compares redirect URIs exactly (K12).
    pub(crate) redirect_uri: String,
    pub(crate) scopes: Vec<String>,
    /// Name of the parameter that requests a tier (K15).
    pub(crate) tier_parameter: String,
    pub(crate) extra_parameters: Vec<(String, String)>,
    pub(crate) transaction_lifetime: Duration,
    pub(crate) skew: Duration,
    pub(crate) algorithm_names: AlgorithmNames,
    pub(crate) access_token_profile: AccessTokenProfile,
    pub(crate) response_issuer: ResponseIssuer,
    /// Member of the userinfo response that contains the claims (K31).
    pub(crate) userinfo_member: Option<String>,
    /// Known statuses for words that KYCPort does not document (K41).
    pub(crate) status_aliases: StatusAliases,
    pub(crate) metadata: MetadataPolicy,
}

/// Rule for `iss` in authorization responses (RFC 9207). If `iss` is present, the client always
/// compares it with the issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ResponseIssuer {
    /// `iss` is required if the discovery document announces it (K5, K14).
    #[default]
    AsAdvertised,
    /// `iss` is always required.
    Required,
}
