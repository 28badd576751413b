//! Every way to bend a token that the mock knows, served to the running app: nobody is signed in
//! by one, and the client says which rule it broke.

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
    support::stage,
};

use ClaimError::{Future, Insufficient, Mismatch, Missing, Mistyped, Past};

/// What an answer with one bent token comes to.
#[derive(Debug, Clone, PartialEq)]
enum Verdict {
    /// The person is signed in.
    Fine,
    /// The token is refused.
    Rejected(TokenValidationError),
    /// The whole answer is too large to read.
    TooLarge,
}

use Verdict::{Fine, Rejected, TooLarge};

fn claim(name: &'static str, problem: ClaimError) -> Verdict {
    Rejected(TokenValidationError::Claim { name, problem })
}

/// What both tokens are judged by (cases 56 to 80); `None` where they differ.
#[expect(
    clippy::match_same_arms,
    reason = "a table, by the numbers of the cases"
)]
fn common(tamper: Tamper, kind: TokenKind) -> Option<Verdict> {
    use Tamper as T;
    let payload = || Rejected(TokenValidationError::NotJson(TokenPart::Payload));
    Some(match tamper {
        // cases 57, 58, 59, 22
        T::AlgNone
        | T::AlgNoneMixedCase
        | T::AlgNull
        | T::AlgAbsent
        | T::Hs256WithPublicKey
        | T::AlgRs256
        | T::AlgEs256
        | T::AlgEd25519Name => Rejected(TokenValidationError::Algorithm),
        // cases 56, 60, 80
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
        // cases 10, 61
        T::UnknownKid | T::KidPath | T::KidSql | T::KidNumber => {
            Rejected(TokenValidationError::UnknownKey)
        }
        T::KidLong | T::Large => Rejected(TokenValidationError::TooLong),
        // case 16: there is one key
        T::NoKid => Fine,
        // cases 62, 79
        T::CritHeader | T::CritEmpty | T::B64False | T::NestedCty | T::Zip => {
            Rejected(TokenValidationError::Extension)
        }
        T::Jwe | T::FiveParts => Rejected(TokenValidationError::Encrypted),
        // case 63
        T::TypLogout => Rejected(TokenValidationError::Type(kind)),
        // cases 64, 65
        T::WrongIssuer | T::IssuerSlash | T::IssuerCase | T::IssuerPrefix => claim("iss", Mismatch),
        T::IssuerArray | T::IssuerNumber => claim("iss", Mistyped),
        T::MissingIssuer => claim("iss", Missing),
        // cases 66, 67
        T::WrongAudience | T::ExtraAudience | T::AudienceEmptyArray | T::AudiencePrefix => {
            claim("aud", Mismatch)
        }
        T::AudienceNumber => claim("aud", Mistyped),
        T::MissingAudience => claim("aud", Missing),
        T::AudienceArrayOfOne => Fine,
        // case 68
        T::ForeignAzp => claim("azp", Mismatch),
        // case 69
        T::Expired => claim("exp", Past),
        T::MissingExp => claim("exp", Missing),
        T::ExpString | T::ExpNegative | T::ExpFloat | T::ExpHuge => claim("exp", Mistyped),
        T::ExpFarFuture => Fine, // cut to a day: see below
        // cases 70, 71
        T::FutureNbf => claim("nbf", Future),
        T::NbfString => claim("nbf", Mistyped),
        T::MissingIat => claim("iat", Missing),
        T::FutureIat => claim("iat", Future),
        T::IatString => claim("iat", Mistyped),
        // case 73
        T::MissingSub => claim("sub", Missing),
        T::EmptySub | T::NumberSub | T::LongSub => claim("sub", Mistyped),
        // case 76
        T::DuplicateHeader => Rejected(TokenValidationError::NotJson(TokenPart::Header)),
        T::DuplicateClaim
        | T::ClaimsNotObject
        | T::BadUtf8
        | T::NotJson
        | T::TrailingData
        | T::DeepNesting => payload(),
        // cases 77, 78
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

/// What is to come of an ID token bent so, by default.
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
        // case 72
        T::WrongNonce => claim("nonce", Mismatch),
        T::MissingNonce => claim("nonce", Missing),
        T::NumberNonce => claim("nonce", Mistyped),
        // case 74
        T::WrongAtHash => claim("at_hash", Mismatch),
        // Not asked for, not in an ID token, or informative.
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
        other => panic!("{other:?} has no verdict here"),
    }
}

/// What is to come of an access token bent so, by default.
#[expect(
    clippy::match_same_arms,
    reason = "a table, by the numbers of the cases"
)]
fn access_token(tamper: Tamper) -> Verdict {
    use Tamper as T;
    if let Some(verdict) = common(tamper, TokenKind::AccessToken) {
        return verdict;
    }
    match tamper {
        // case 84
        T::TypJwt | T::TypAbsent => Rejected(TokenValidationError::Type(TokenKind::AccessToken)),
        T::TypAtJwt | T::TypApplicationAtJwt | T::MissingClientId | T::MissingJti => Fine,
        T::ForeignClientId => claim("client_id", Mismatch),
        // case 85
        T::ScopeArray => claim("scope", Mistyped),
        // It may be as old as its lifetime allows.
        T::AncientIat => Fine,
        // Claims of an ID token, which say nothing here.
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
        other => panic!("{other:?} has no verdict here"),
    }
}

/// Gives the budget for unknown keys back: a token is not judged while it is spent.
fn let_budget_recover(kyc: &MockIssuer, tamper: Tamper) {
    if matches!(
        tamper,
        Tamper::UnknownKid | Tamper::KidPath | Tamper::KidSql
    ) {
        kyc.clock().advance(Duration::from_secs(60));
    }
}

/// What a bent `sub` does besides: the two tokens no longer speak of one person. That is judged
/// last, so a token refused for itself is refused as that.
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
async fn the_client_names_the_rule_that_a_bent_token_breaks() {
    // cases 56 to 79, 84, 85
    let (kyc, _, ada) = stage().await;
    let app = relying_party(&kyc);
    for &tamper in Tamper::ALL {
        let_budget_recover(&kyc, tamper);
        // What is bent without effect would show nothing: `optional` is not said.
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
async fn nobody_is_signed_in_by_a_bent_token() {
    // cases 56 to 79, 84, 85, in the running app
    let (kyc, app, ada) = stage().await;
    for &tamper in Tamper::ALL {
        for kind in [TokenKind::IdToken, TokenKind::AccessToken] {
            let_budget_recover(&kyc, tamper);
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
            let told = (page.status(), me.status());
            match verdict {
                Fine => assert_eq!(told, (200, 200), "{kind} {tamper:?}"),
                Rejected(_) => {
                    assert_eq!(told, (502, 401), "{kind} {tamper:?}");
                    assert!(page.body().contains("could not be verified"), "{tamper:?}");
                    assert_eq!(page.url().path(), "/auth/callback");
                }
                TooLarge => assert_eq!(told, (503, 401), "{kind} {tamper:?}"),
            }
            let signed_in = verdict == Fine;
            let cookie = browser.cookie(app.url("/"), "__Host-kycport");
            assert_eq!(cookie.is_some(), signed_in, "{kind} {tamper:?}");
            assert!(
                !page.body().contains("eyJ"),
                "no token is shown: {tamper:?}"
            );
        }
    }
    // No key was ever looked for where a token said.
    kyc.requests(Endpoint::Userinfo).assert_count(0);
}

#[tokio::test]
async fn a_bent_token_leaves_the_session_that_is_there_alone() {
    let (kyc, app, ada) = stage().await;
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
async fn a_far_future_end_is_cut_to_a_day() {
    // case 69
    let (kyc, _, ada) = stage().await;
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
async fn what_is_odd_and_right_signs_in_and_means_what_it_says() {
    // K31, K32, K41
    let (kyc, app, _) = stage().await;
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
        // Without a status nothing is recorded, and the tier means nothing.
        (Tamper::NullStatus, None, None, false),
        (Tamper::MissingKyc, None, None, false),
        (Tamper::UnknownClaim, Some("verified"), Some("t2"), true),
    ] {
        // A person of their own: a positive ID token replaces no negative result.
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
async fn what_was_asked_for_is_demanded() {
    // case 75
    let (kyc, _, ada) = stage().await;
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
async fn settings_widen_or_narrow_what_is_believed() {
    // cases 59, 84
    let (kyc, _, ada) = stage().await;
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
async fn tokens_of_two_persons_are_nobodys() {
    // cases 55, 118
    let (kyc, app, ada) = stage().await;
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
async fn a_token_in_the_place_of_the_other_is_refused() {
    // cases 63, 84: both are signed by the right key for the right client
    let (kyc, _, ada) = stage().await;
    let app = relying_party(&kyc);
    let _fault = kyc
        .edit_token_response(|answer| answer["access_token"] = answer["id_token"].clone())
        .once();
    // The hash of the access token is what notices first.
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
