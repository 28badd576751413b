//! Uncached check of KYCPort's documents, for the doctor.

use http::HeaderMap;
use url::Url;

use super::{keys::KeySet, provider::ProviderError, settings::Settings};
use crate::{
    clock::Timestamp,
    http::{HttpClient, date},
};

const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// Result of checking KYCPort's documents.
#[derive(Debug)]
pub(crate) struct Checkup {
    /// Value of the header `Date` in KYCPort's response, if present.
    pub(crate) date: Option<Timestamp>,
    /// Result of the validation of the discovery document.
    pub(crate) metadata: Result<(), ProviderError>,
    /// Number of usable keys in the key set. `None` if the URL of the key set is unknown.
    pub(crate) keys: Option<Result<usize, ProviderError>>,
}

pub(super) async fn check_up(http: &HttpClient, settings: &Settings) -> Checkup {
    let document = fetch(http, &settings.metadata.discovery_url).await;
    let date = document
        .as_ref()
        .ok()
        .and_then(|(_, headers)| date(headers));
    let metadata =
        document.and_then(|(body, _)| settings.metadata.verify(&body).map_err(ProviderError::from));
    let keys = match &metadata {
        Ok(provider) => Some(count_keys(http, settings, &provider.jwks_uri).await),
        Err(_) => None,
    };
    Checkup {
        date,
        metadata: metadata.map(drop),
        keys,
    }
}

async fn count_keys(
    http: &HttpClient,
    settings: &Settings,
    jwks_uri: &Url,
) -> Result<usize, ProviderError> {
    let (body, _) = fetch(http, jwks_uri).await?;
    Ok(KeySet::from_json(&body, settings.algorithm_names)?.len())
}

async fn fetch(http: &HttpClient, url: &Url) -> Result<(bytes::Bytes, HeaderMap), ProviderError> {
    let answer = http.get(url, MAX_DOCUMENT_BYTES).await?;
    if answer.status != http::StatusCode::OK {
        return Err(ProviderError::Status(answer.status.as_u16()));
    }
    Ok((answer.body, answer.headers))
}
