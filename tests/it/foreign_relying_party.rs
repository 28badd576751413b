//! Tests that another relying party, the crate `openidconnect`, can sign in to the mock. The
//! relying party contains no code of this crate. These tests also detect errors that this crate's
//! client and mock have in common.

use kycport::{KycStatus, KycTier, mock::MockIssuer};
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EndpointNotSet, HttpRequest, HttpResponse, IdTokenClaims, IdTokenFields, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, RedirectUrl, Scope, StandardErrorResponse,
    StandardTokenResponse, TokenResponse as _, UserInfoClaims,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType,
        CoreGenderClaim, CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};

const REDIRECT_URI: &str = "http://127.0.0.1:9/callback";

/// Claims of the scope `kyc`.
#[expect(
    clippy::struct_field_names,
    reason = "the fields have the names of the claims"
)]
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kyc {
    kyc_status: String,
    kyc_tier: String,
    aml_clear: bool,
}

impl openidconnect::AdditionalClaims for Kyc {}

type Tokens = StandardTokenResponse<
    IdTokenFields<
        Kyc,
        openidconnect::EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;
type Client = openidconnect::Client<
    Kyc,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
>;

#[tokio::test]
async fn the_openidconnect_crate_signs_in_to_the_mock() {
    let kyc = MockIssuer::start().await;
    kyc.client().register_redirect_uri(REDIRECT_URI).unwrap();
    let grace = kyc
        .person("grace")
        .status(KycStatus::Verified)
        .tier(KycTier::T1)
        .email("grace@example.test")
        .create();
    let metadata: CoreProviderMetadata = fetch(&kyc.discovery_url()).await;
    assert_eq!(
        metadata.issuer().as_str().trim_end_matches('/'),
        kyc.issuer()
    );
    let keys: CoreJsonWebKeySet = fetch(metadata.jwks_uri().as_str()).await;
    let client = Client::new(
        ClientId::new(kyc.client().id().to_owned()),
        IssuerUrl::new(kyc.issuer().to_owned()).unwrap(),
        keys,
    )
    .set_client_secret(ClientSecret::new(kyc.client().secret().unwrap().to_owned()))
    .set_auth_type(AuthType::RequestBody)
    .set_auth_uri(metadata.authorization_endpoint().clone())
    .set_token_uri(metadata.token_endpoint().unwrap().clone())
    .set_user_info_url(metadata.userinfo_endpoint().unwrap().clone())
    .set_redirect_uri(RedirectUrl::new(REDIRECT_URI.to_owned()).unwrap());

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .add_scopes(["email", "kyc"].map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    let callback = kyc.browser().start_sign_in(url, &grace).await.unwrap();
    let answer = |wanted: &str| {
        let (_, value) = callback
            .query_pairs()
            .find(|(name, _)| name == wanted)
            .unwrap();
        value.into_owned()
    };
    assert_eq!(answer("state"), *state.secret());
    assert_eq!(answer("iss"), kyc.issuer());

    let tokens = client
        .exchange_code(AuthorizationCode::new(answer("code")))
        .set_pkce_verifier(verifier)
        .request_async(&send)
        .await
        .unwrap();

    let id_token = tokens.id_token().unwrap();
    let judge = client
        .id_token_verifier()
        .set_allowed_algs([CoreJwsSigningAlgorithm::EdDsa]);
    let claims: &IdTokenClaims<Kyc, CoreGenderClaim> = id_token.claims(&judge, &nonce).unwrap();
    assert_eq!(claims.subject().as_str(), grace.id());
    assert_eq!(claims.email().unwrap().as_str(), "grace@example.test");
    assert_eq!(claims.additional_claims().kyc_status, "verified");
    assert_eq!(claims.additional_claims().kyc_tier, "t1");
    assert!(claims.additional_claims().aml_clear);
    let hash = AccessTokenHash::from_token(
        tokens.access_token(),
        id_token.signing_alg().unwrap(),
        id_token.signing_key(&judge).unwrap(),
    );
    assert_eq!(claims.access_token_hash(), Some(&hash.unwrap()));

    let userinfo: UserInfoClaims<Kyc, CoreGenderClaim> = client
        .user_info(
            tokens.access_token().clone(),
            Some(claims.subject().clone()),
        )
        .request_async(&send)
        .await
        .unwrap();
    assert_eq!(userinfo.additional_claims().kyc_tier, "t1");
}

async fn fetch<T: serde::de::DeserializeOwned>(url: &str) -> T {
    let request = HttpRequest::new(Vec::new());
    let (mut parts, body) = request.into_parts();
    parts.uri = url.parse().unwrap();
    let response = send(HttpRequest::from_parts(parts, body)).await.unwrap();
    serde_json::from_slice(response.body()).unwrap()
}

async fn send(request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let answer = client.execute(request.try_into()?).await?;
    let mut response = HttpResponse::new(Vec::new());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    *response.body_mut() = answer.bytes().await?.to_vec();
    Ok(response)
}
