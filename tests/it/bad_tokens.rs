//! Tests with malformed tokens. The mock sends each of its malformed tokens to the running app. The
//! app rejects each malformed token, and the client reports the violated rule.

use std::time::Duration;

use kycport::{
    KycTier, TransportError,
    mock::{Endpoint, MockIssuer, Tamper},
    oidc::{
        AccessTokenProfile, AcrRequirement, AlgorithmNames, ClaimError, ExchangeError, LoginError,
        LoginRequest, TokenKind, TokenPart, TokenValidationError,
    },
};

use crate::{
    direct::{relying_party, relying_party_with, sign_in, sign_in_with},
    support::setup,
};

use ClaimError::{Future, Insufficient, Mismatch, Missing, Mistyped, Past};

/// Expected result of a token response with one malformed token.
#[derive(Debug, Clone, PartialEq)]
enum Verdict {
    /// The person is signed in.
    Fine,
    /// The token is rejected.
    Rejected(TokenValidationError),
    /// The response exceeds the size limit.
    TooLarge,
}

use Verdict::{Fine, Rejected, TooLarge};

fn claim(name: &'static str, problem: ClaimError) -> Verdict {
    Rejected(TokenValidationError::Claim { name, problem })
}

/// Expected result for an ID token and for an access token (threat cases 56 to 80). `None` if the
/// results differ.
#[expect(
    clippy::match_same_arms,
    reason = "the table is in the order of the case numbers"
)]
fn common(tamper: Tamper, kind: TokenKind) -> Option<Verdict> {
    use Tamper as T;
    let payload = || Rejected(TokenValidationError::NotJson(TokenPart::Payload));
    Some(match tamper {
        // Covers threat cases 57, 58, 59, 22.
        T::AlgNone
        | T::AlgNoneMixedCase
        | T::AlgNull
        | T::AlgAbsent
        | T::Hs256WithPublicKey
        | T::AlgRs256
        | T::AlgEs256
        | T::AlgEd25519Name => Rejected(TokenValidationError::Algorithm),
        // Covers threat cases 56, 60, 80.
        T::BadSignature
        | T::EmptySignature
        | T::ShortSignature
        | T::LongSignature
        | T::AlteredPayload
        | T::AlteredHeader
        | T::ForeignKey
        | T::ForeignKeyEmbeddedJwk
        | T::ForeignKeyJku
        | T::ForeignKeyX5u => Rejected(TokenValidationError::Signature),
        // Covers threat cases 10, 61.
        T::UnknownKid | T::KidPath | T::KidSql | T::KidNumber => {
            Rejected(TokenValidationError::UnknownKey)
        }
        T::KidLong | T::Large => Rejected(TokenValidationError::TooLong),
        // Threat case 16: the key set has only one key
        T::NoKid => Fine,
        // Covers threat cases 62, 79.
        T::CritHeader | T::CritEmpty | T::B64False | T::NestedCty | T::Zip => {
            Rejected(TokenValidationError::Extension)
        }
        T::Jwe | T::FiveParts => Rejected(TokenValidationError::Encrypted),
        // Covers threat case 63.
        T::TypLogout => Rejected(TokenValidationError::Type(kind)),
        // Covers threat cases 64, 65.
        T::WrongIssuer | T::IssuerSlash | T::IssuerCase | T::IssuerPrefix => claim("iss", Mismatch),
        T::IssuerArray | T::IssuerNumber => claim("iss", Mistyped),
        T::MissingIssuer => claim("iss", Missing),
        // Covers threat cases 66, 67.
        T::WrongAudience | T::ExtraAudience | T::AudienceEmptyArray | T::AudiencePrefix => {
            claim("aud", Mismatch)
        }
        T::AudienceNumber => claim("aud", Mistyped),
        T::MissingAudience => claim("aud", Missing),
        T::AudienceArrayOfOne => Fine,
        // Covers threat case 68.
        T::ForeignAzp => claim("azp", Mismatch),
        // Covers threat case 69.
        T::Expired => claim("exp", Past),
        T::MissingExp => claim("exp", Missing),
        T::ExpString | T::ExpNegative | T::ExpFloat | T::ExpHuge => claim("exp", Mistyped),
        T::ExpFarFuture => Fine, // limited to a day, see `a_far_future_exp_is_limited_to_a_day`
        // Covers threat cases 70, 71.
        T::FutureNbf => claim("nbf", Future),
        T::NbfString => claim("nbf", Mistyped),
        T::MissingIat => claim("iat", Missing),
        T::FutureIat => claim("iat", Future),
        T::IatString => claim("iat", Mistyped),
        // Covers threat case 73.
        T::MissingSub => claim("sub", Missing),
        T::EmptySub | T::NumberSub | T::LongSub => claim("sub", Mistyped),
        // Covers threat case 76.
        T::DuplicateHeader => Rejected(TokenValidationError::NotJson(TokenPart::Header)),
        T::DuplicateClaim
        | T::ClaimsNotObject
        | T::BadUtf8
        | T::NotJson
        | T::TrailingData
        | T::DeepNesting => payload(),
        // Covers threat cases 77, 78.
        T::TwoParts
        | T::FourParts
        | T::JsonForm
        | T::Padded
        | T::TrailingSpace
        | T::LineBreak
        | T::SpareBits => Rejected(TokenValidationError::NotCompact),
        T::ManyDots | T::Huge => TooLarge,
        T::UnknownClaim => Fine,
        _ => return None,
    })
}

/// Expected result for an ID token under the default settings.
fn id_token(tamper: Tamper) -> Verdict {
    use Tamper as T;
    if let Some(verdict) = common(tamper, TokenKind::IdToken) {
        return verdict;
    }
    match tamper {
        T::TypAtJwt | T::TypApplicationAtJwt => {
            Rejected(TokenValidationError::Type(TokenKind::IdToken))
        }
        T::AncientIat => claim("iat", Past),
        // Covers threat case 72.
        T::WrongNonce => claim("nonce", Mismatch),
        T::MissingNonce => claim("nonce", Missing),
        T::NumberNonce => claim("nonce", Mistyped),
        // Covers threat case 74.
        T::WrongAtHash => claim("at_hash", Mismatch),
        // The client ignores claims that it has not requested, claims of an access token, and
        // informative claims.
        T::TypJwt
        | T::TypAbsent
        | T::MissingAtHash
        | T::StaleAuthTime
        | T::MissingAuthTime
        | T::WeakAcr
        | T::MissingAcr
        | T::UnknownStatus
        | T::UnknownTier
        | T::NullStatus
        | T::NumericTier
        | T::UpperCaseTier
        | T::MissingKyc
        | T::MissingClientId
        | T::ForeignClientId
        | T::MissingJti
        | T::ScopeArray => Fine,
        other => panic!("{other:?} has no expected result"),
    }
}

/// Expected result for an access token under the default settings.
#[expect(
    clippy::match_same_arms,
    reason = "the table is in the order of the case numbers"
)]
fn access_token(tamper: Tamper) -> Verdict {
    use Tamper as T;
    if let Some(verdict) = common(tamper, TokenKind::AccessToken) {
        return verdict;
    }
    match tamper {
        // Covers threat case 84.
        T::TypJwt | T::TypAbsent => Rejected(TokenValidationError::Type(TokenKind::AccessToken)),
        T::TypAtJwt | T::TypApplicationAtJwt | T::MissingClientId | T::MissingJti => Fine,
        T::ForeignClientId => claim("client_id", Mismatch),
        // Covers threat case 85.
        T::ScopeArray => claim("scope", Mistyped),
        // An access token is valid until `exp`, with any `iat`.
        T::AncientIat => Fine,
        // The app ignores these claims of an ID token in an access token.
        T::WrongNonce
        | T::MissingNonce
        | T::NumberNonce
        | T::WrongAtHash
        | T::MissingAtHash
        | T::StaleAuthTime
        | T::MissingAuthTime
        | T::WeakAcr
        | T::MissingAcr
        | T::UnknownStatus
        | T::UnknownTier
        | T::NullStatus
        | T::NumericTier
        | T::UpperCaseTier
        | T::MissingKyc => Fine,
        other => panic!("{other:?} has no expected result"),
    }
}

/// Resets the limit on refetches of the JWKS. The app validates no token after the limit is
/// reached.
fn restore_key_budget(kyc: &MockIssuer, tamper: Tamper) {
    if matches!(
        tamper,
        Tamper::UnknownKid | Tamper::KidPath | Tamper::KidSql
    ) {
        kyc.clock().advance(Duration::from_secs(60));
    }
}

/// Returns the verdict on a token. A tampered `sub` makes the subjects of the two tokens differ.
/// The client compares the subjects last, so it reports any other violated rule first.
fn typed(outcome: Result<(), LoginError>, kind: TokenKind) -> Verdict {
    match (outcome, kind) {
        (Ok(()), _) => Fine,
        (Err(LoginError::IdToken(refusal)), TokenKind::IdToken)
        | (Err(LoginError::AccessToken(refusal)), TokenKind::AccessToken) => Rejected(refusal),
        (
            Err(LoginError::Exchange(ExchangeError::Transport(TransportError::TooLarge {
                limit: 65_536,
            }))),
            _,
        ) => TooLarge,
        (Err(other), _) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_malformed_token_is_rejected_with_the_violated_rule() {
    // Covers threat cases 56 to 79, 84, 85.
    let (kyc, _, ada) = setup().await;
    let app = relying_party(&kyc);
    for &tamper in Tamper::ALL {
        restore_key_budget(&kyc, tamper);
        // The test fails if this fault has no effect, because `optional` is not set.
        let fault = kyc.tokens().id_token(tamper).once();
        let outcome = sign_in(&kyc, &app, &ada).await.map(|_| ());
        drop(fault);
        assert_eq!(
            typed(outcome, TokenKind::IdToken),
            id_token(tamper),
            "ID token: {tamper:?}"
        );

        let fault = kyc.tokens().access_token(tamper).once();
        let outcome = sign_in(&kyc, &app, &ada).await.map(|_| ());
        drop(fault);
        assert_eq!(
            typed(outcome, TokenKind::AccessToken),
            access_token(tamper),
            "access token: {tamper:?}"
        );
    }
    for tamper in Tamper::attacks() {
        let far_future = tamper == Tamper::ExpFarFuture;
        assert_eq!(id_token(tamper) == Fine, far_future, "{tamper:?}");
    }
    for &tamper in Tamper::HARMLESS {
        assert_eq!(id_token(tamper), Fine, "{tamper:?}");
    }
}

#[tokio::test]
async fn a_malformed_token_creates_no_session() {
    // Covers threat cases 56 to 79, 84, 85 in the running app.
    let (kyc, app, ada) = setup().await;
    for &tamper in Tamper::ALL {
        for kind in [TokenKind::IdToken, TokenKind::AccessToken] {
            restore_key_budget(&kyc, tamper);
            let (fault, verdict) = match kind {
                TokenKind::IdToken => (kyc.tokens_for(&ada).id_token(tamper), id_token(tamper)),
                TokenKind::AccessToken => (
                    kyc.tokens_for(&ada).access_token(tamper),
                    access_token(tamper),
                ),
            };
            let _fault = fault.once();
            let browser = kyc.browser();

            let page = browser
                .sign_in(app.url("/auth/login?return_to=/vault"), &ada)
                .await
                .unwrap();

            let me = browser.fetch(app.url("/auth/me")).await.unwrap();
            let statuses = (page.status(), me.status());
            match verdict {
                Fine => assert_eq!(statuses, (200, 200), "{kind} {tamper:?}"),
                Rejected(_) => {
                    assert_eq!(statuses, (502, 401), "{kind} {tamper:?}");
                    assert!(page.body().contains("could not be verified"), "{tamper:?}");
                    assert_eq!(page.url().path(), "/auth/callback");
                }
                TooLarge => assert_eq!(statuses, (503, 401), "{kind} {tamper:?}"),
            }
            let signed_in = verdict == Fine;
            let cookie = browser.cookie(app.url("/"), "__Host-kycport");
            assert_eq!(cookie.is_some(), signed_in, "{kind} {tamper:?}");
            assert!(
                !page.body().contains("eyJ"),
                "the page contains no token: {tamper:?}"
            );
        }
    }
    // The client never fetched keys from a URL in a token.
    kyc.requests(Endpoint::Userinfo).assert_count(0);
}

#[tokio::test]
async fn a_malformed_token_does_not_end_the_current_session() {
    let (kyc, app, ada) = setup().await;
    let browser = kyc.browser();
    browser
        .sign_in(app.url("/auth/login"), &ada)
        .await
        .unwrap()
        .assert_ok();
    let _fault = kyc.tokens().id_token(Tamper::WrongNonce).once();
    browser
        .sign_in(app.url("/auth/login"), &ada)
        .await
        .unwrap()
        .assert_status(502);
    browser
        .fetch(app.url("/auth/me"))
        .await
        .unwrap()
        .assert_ok();
}

#[tokio::test]
async fn a_far_future_exp_is_limited_to_a_day() {
    // Covers threat case 69.
    let (kyc, _, ada) = setup().await;
    kyc.clock().freeze();
    let app = relying_party(&kyc);
    let day = kycport::Clock::now(kyc.clock()).saturating_add(Duration::from_secs(24 * 3600));
    let _id = kyc.tokens().id_token(Tamper::ExpFarFuture).once();
    let _access = kyc.tokens().access_token(Tamper::ExpFarFuture).once();
    let _silent = kyc
        .edit_token_response(|answer| drop(answer.as_object_mut().unwrap().remove("expires_in")))
        .once();

    let signed_in = sign_in(&kyc, &app, &ada).await.unwrap();

    assert_eq!(signed_in.claims.expires_at, day);
    assert_eq!(signed_in.tokens.expires_at, day);
}

#[tokio::test]
async fn unusual_but_valid_tokens_are_accepted() {
    // Covers contract rows K31, K32, K41.
    let (kyc, app, _) = setup().await;
    for (tamper, status, tier, verified) in [
        (
            Tamper::AudienceArrayOfOne,
            Some("verified"),
            Some("t2"),
            true,
        ),
        (Tamper::NumericTier, Some("verified"), Some("t2"), true),
        (Tamper::UpperCaseTier, Some("verified"), Some("t2"), true),
        (
            Tamper::UnknownStatus,
            Some("under_the_sea"),
            Some("t2"),
            false,
        ),
        (Tamper::UnknownTier, Some("verified"), Some("t9"), false),
        // If the token has no status, the app ignores the tier and stores no verification result.
        (Tamper::NullStatus, None, None, false),
        (Tamper::MissingKyc, None, None, false),
        (Tamper::UnknownClaim, Some("verified"), Some("t2"), true),
    ] {
        // Each row uses a separate person, because a positive ID token does not replace a negative
        // result.
        let slug = format!("{tamper:?}").to_lowercase();
        let ada = kyc.person(&slug).tier(KycTier::T2).create();
        let _fault = kyc.tokens().id_token(tamper).once();
        let browser = kyc.browser();
        browser
            .sign_in(app.url("/auth/login"), &ada)
            .await
            .unwrap()
            .assert_ok();
        let me = browser.fetch(app.url("/auth/me")).await.unwrap().json();
        let assurance = &me["assurance"];
        assert_eq!(assurance["kyc_status"].as_str(), status, "{tamper:?}");
        assert_eq!(assurance["kyc_tier"].as_str(), tier, "{tamper:?}");
        let assurance: kycport::Assurance = serde_json::from_value(assurance.clone()).unwrap();
        for least in [KycTier::T0, KycTier::T1, KycTier::T2] {
            assert_eq!(assurance.is_verified_at(&least), verified, "{tamper:?}");
        }
    }
}

#[tokio::test]
async fn requested_acr_and_max_age_are_enforced() {
    // Covers threat case 75.
    let (kyc, _, ada) = setup().await;
    let app = relying_party(&kyc);
    let fresh = LoginRequest::new().max_age(Duration::from_secs(300));
    let tier = |tier, demand| LoginRequest::new().tier(tier, demand);
    let required = tier(KycTier::T2, AcrRequirement::Essential);
    let requested = tier(KycTier::T2, AcrRequirement::Voluntary);
    for (tamper, request, expected) in [
        (Tamper::StaleAuthTime, &fresh, claim("auth_time", Past)),
        (Tamper::MissingAuthTime, &fresh, claim("auth_time", Missing)),
        (Tamper::WeakAcr, &required, claim("acr", Insufficient)),
        (Tamper::MissingAcr, &required, claim("acr", Missing)),
        (Tamper::WeakAcr, &requested, Fine),
        (Tamper::MissingAcr, &requested, Fine),
        (Tamper::UnknownClaim, &fresh, Fine),
        (Tamper::UnknownClaim, &required, Fine),
    ] {
        let _fault = kyc.tokens().id_token(tamper).once();
        let outcome = sign_in_with(&kyc, &app, &ada, request).await.map(|_| ());
        assert_eq!(typed(outcome, TokenKind::IdToken), expected, "{tamper:?}");
    }
}

#[tokio::test]
async fn settings_change_which_tokens_are_accepted() {
    // Covers threat cases 59, 84.
    let (kyc, _, ada) = setup().await;
    let both = relying_party_with(&kyc, |config| {
        config.algorithm_names(AlgorithmNames::EdDsaOrEd25519)
    });
    let _fault = kyc.tokens().id_token(Tamper::AlgEd25519Name).once();
    let _other = kyc.tokens().access_token(Tamper::AlgEd25519Name).once();
    sign_in(&kyc, &both, &ada).await.unwrap();

    let strict = relying_party_with(&kyc, |config| {
        config.access_token_profile(AccessTokenProfile::Rfc9068)
    });
    sign_in(&kyc, &strict, &ada).await.unwrap();
    for (tamper, name) in [
        (Tamper::MissingClientId, "client_id"),
        (Tamper::MissingJti, "jti"),
    ] {
        let _fault = kyc.tokens().access_token(tamper).once();
        let outcome = sign_in(&kyc, &strict, &ada).await.map(|_| ());
        assert_eq!(typed(outcome, TokenKind::AccessToken), claim(name, Missing));
    }
}

#[tokio::test]
async fn tokens_with_different_subjects_are_rejected() {
    // Covers threat cases 55, 118.
    let (kyc, app, ada) = setup().await;
    let direct = relying_party(&kyc);
    let mallory = kyc.person("mallory").create();
    let id = mallory.id().to_owned();
    let _fault = kyc
        .tokens_for(&ada)
        .edit_access_token(move |draft| {
            draft.claims.insert("sub".to_owned(), serde_json::json!(id));
        })
        .always();
    let error = sign_in(&kyc, &direct, &ada).await.unwrap_err();
    assert_eq!(error, LoginError::SubjectMismatch);
    let browser = kyc.browser();
    let page = browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    page.assert_status(502);
    browser
        .fetch(app.url("/auth/me"))
        .await
        .unwrap()
        .assert_status(401);
}

#[tokio::test]
async fn exchanged_token_types_are_rejected() {
    // Threat cases 63, 84: the issuer has signed both tokens for this client
    let (kyc, _, ada) = setup().await;
    let app = relying_party(&kyc);
    let _fault = kyc
        .edit_token_response(|answer| answer["access_token"] = answer["id_token"].clone())
        .once();
    // The client checks `at_hash` before the type.
    let error = sign_in(&kyc, &app, &ada).await.unwrap_err();
    assert_eq!(
        typed(Err(error), TokenKind::IdToken),
        claim("at_hash", Mismatch)
    );
    let id_token = kyc.mint().id_token(&ada, kyc.client(), "n").sign();
    let refused = app.oidc().verify_access_token(&id_token).await.unwrap_err();
    assert_eq!(
        refused,
        TokenValidationError::Type(TokenKind::AccessToken).into()
    );
    let _fault = kyc
        .edit_token_response(|answer| answer["id_token"] = answer["access_token"].clone())
        .once();
    let error = sign_in(&kyc, &app, &ada).await.unwrap_err();
    assert_eq!(
        typed(Err(error), TokenKind::IdToken),
        Rejected(TokenValidationError::Type(TokenKind::IdToken))
    );
}
