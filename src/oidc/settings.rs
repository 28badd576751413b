//! What the client needs to know.

use std::time::Duration;

use super::{
    access_token::AccessTokenProfile, algorithm::AlgorithmNames, metadata::MetadataPolicy,
};

/// What the client needs to know. [`Config`](crate::Config) makes it, valid.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    /// As configured, byte for byte: KYCPort compares it exactly (K12).
    pub(crate) redirect_uri: String,
    pub(crate) scopes: Vec<String>,
    /// What carries a requested tier (K15).
    pub(crate) tier_parameter: String,
    pub(crate) extra_parameters: Vec<(String, String)>,
    pub(crate) transaction_lifetime: Duration,
    pub(crate) skew: Duration,
    pub(crate) algorithm_names: AlgorithmNames,
    pub(crate) access_token_profile: AccessTokenProfile,
    pub(crate) response_issuer: ResponseIssuer,
    pub(crate) metadata: MetadataPolicy,
}

/// When an authorization response must carry `iss` (RFC 9207). One that is there is always
/// compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ResponseIssuer {
    /// When the discovery document promises it (K5, K14).
    #[default]
    AsAdvertised,
    /// Always.
    Required,
}
