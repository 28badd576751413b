//! Named manipulations of a token.

mod apply;
mod shape;

/// Defines the enum [`Tamper`] and the constant `ALL`, which contains every variant.
macro_rules! tampers {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A manipulation of a token. Each variant changes one property. If the documentation of a
        /// variant does not mention the signature, the signature stays valid.
        ///
        /// A case number refers to a row of the page [threats](crate::guide::threats).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Tamper {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Tamper {
            /// List of all manipulations.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

impl Tamper {
    /// Manipulations that keep an ID token valid. Every validator must accept an ID token with one
    /// of these manipulations.
    pub const HARMLESS: &'static [Self] = &[
        Self::AudienceArrayOfOne,
        Self::TypAbsent,
        Self::TypJwt,
        Self::NumericTier,
        Self::UpperCaseTier,
        Self::UnknownStatus,
        Self::UnknownTier,
        Self::MissingKyc,
        Self::UnknownClaim,
    ];

    /// Manipulations of an ID token that a validator may accept or reject. The result depends on
    /// the client's request, on its settings, or on the number of keys.
    pub const DEPENDS: &'static [Self] = &[
        Self::AlgEd25519Name,
        Self::NoKid,
        Self::MissingAtHash,
        Self::StaleAuthTime,
        Self::MissingAuthTime,
        Self::WeakAcr,
        Self::MissingAcr,
        Self::TypApplicationAtJwt,
        Self::MissingClientId,
        Self::ForeignClientId,
        Self::MissingJti,
        Self::ScopeArray,
        Self::NullStatus,
    ];

    /// Returns the manipulations after which every validator must reject an ID token.
    pub fn attacks() -> impl Iterator<Item = Self> {
        let is_listed =
            |tamper: &Self| Self::HARMLESS.contains(tamper) || Self::DEPENDS.contains(tamper);
        Self::ALL
            .iter()
            .copied()
            .filter(move |tamper| !is_listed(tamper))
    }
}

tampers! {
    /// The header has `alg: none`, and the token is unsigned (case 57).
    AlgNone,
    /// The header has `alg: NoNe`, and the token is unsigned (case 57).
    AlgNoneMixedCase,
    /// The header has `alg: null`, and the token is unsigned (case 57).
    AlgNull,
    /// The header has no `alg` (case 57).
    AlgAbsent,
    /// The header has `alg: HS256`, and the public key is the HMAC secret (cases 22, 58).
    Hs256WithPublicKey,
    /// The header has `alg: RS256` (case 58).
    AlgRs256,
    /// The header has `alg: ES256` (case 58).
    AlgEs256,
    /// The header has `alg: Ed25519`, the fully specified name of RFC 9864 (case 59).
    AlgEd25519Name,
    /// The signature has one flipped bit (case 56).
    BadSignature,
    /// The signature is empty (case 56).
    EmptySignature,
    /// The signature is 63 bytes (case 80).
    ShortSignature,
    /// The signature is 65 bytes (case 80).
    LongSignature,
    /// The payload changes after signing (case 56).
    AlteredPayload,
    /// The header changes after signing (case 56).
    AlteredHeader,
    /// An unpublished key signs, and the header has the `kid` of the active key (case 56).
    ForeignKey,
    /// An unpublished key signs, and the header's `jwk` contains this key (case 60).
    ForeignKeyEmbeddedJwk,
    /// An unpublished key signs, and the header's `jku` points to this key (case 60).
    ForeignKeyJku,
    /// An unpublished key signs, and the header's `x5u` points to this key (case 60).
    ForeignKeyX5u,
    /// The `kid` is not in the key set (cases 10, 11).
    UnknownKid,
    /// The header has no `kid` (case 16).
    NoKid,
    /// The `kid` is a file path (case 61).
    KidPath,
    /// The `kid` contains SQL (case 61).
    KidSql,
    /// The `kid` has 12 KiB (case 61).
    KidLong,
    /// The `kid` is a number (case 61).
    KidNumber,
    /// `crit` lists an unknown name (case 62).
    CritHeader,
    /// `crit` is an empty list (case 62).
    CritEmpty,
    /// The header has `b64: false` and lists `b64` in `crit` (case 62).
    B64False,
    /// The header has `typ: at+jwt` (case 63).
    TypAtJwt,
    /// The header has `typ: application/at+jwt`, which is valid for an access token (case 84).
    TypApplicationAtJwt,
    /// The header has `typ: JWT`, which is valid for an ID token but not for an access token (case
    /// 84).
    TypJwt,
    /// The header has `typ: logout+jwt` (case 63).
    TypLogout,
    /// The header has no `typ`, which is valid for an ID token but not for an access token (case
    /// 84).
    TypAbsent,
    /// The header has `cty: JWT`, as for a nested token (case 79).
    NestedCty,
    /// The header has `zip: DEF` (case 79).
    Zip,
    /// The token has the five parts of a JWE (case 79).
    Jwe,
    /// `iss` names another issuer (case 64).
    WrongIssuer,
    /// `iss` has an additional trailing slash (case 64).
    IssuerSlash,
    /// `iss` is in upper case (case 64).
    IssuerCase,
    /// `iss` is the issuer with additional characters at the end (case 65).
    IssuerPrefix,
    /// `iss` is an array that contains the issuer (case 65).
    IssuerArray,
    /// `iss` is a number (case 64).
    IssuerNumber,
    /// The token has no `iss` (case 64).
    MissingIssuer,
    /// `aud` is the ID of another client (case 66).
    WrongAudience,
    /// `aud` lists another audience in addition to the client (case 67).
    ExtraAudience,
    /// `aud` is an array that contains only the client, which is valid (case 67).
    AudienceArrayOfOne,
    /// `aud` is an empty array (case 66).
    AudienceEmptyArray,
    /// `aud` is a number (case 66).
    AudienceNumber,
    /// `aud` is the client ID with additional characters at the end (case 66).
    AudiencePrefix,
    /// The token has no `aud` (case 66).
    MissingAudience,
    /// `azp` names another client (case 68).
    ForeignAzp,
    /// The token expired an hour ago (case 69).
    Expired,
    /// The token has no `exp` (case 69).
    MissingExp,
    /// `exp` is a string (case 69).
    ExpString,
    /// `exp` is -1 (case 69).
    ExpNegative,
    /// `exp` is 1e300 (case 69).
    ExpFloat,
    /// `exp` is the largest 64-bit number (case 69).
    ExpHuge,
    /// `exp` is ten years ahead (case 69).
    ExpFarFuture,
    /// `nbf` is an hour ahead (case 70).
    FutureNbf,
    /// `nbf` is a string (case 70).
    NbfString,
    /// The token has no `iat` (case 71).
    MissingIat,
    /// `iat` is an hour ahead (case 71).
    FutureIat,
    /// `iat` is a year ago (case 71).
    AncientIat,
    /// `iat` is a string (case 71).
    IatString,
    /// `nonce` has another value (case 72).
    WrongNonce,
    /// The token has no `nonce` (case 72).
    MissingNonce,
    /// `nonce` is a number (case 72).
    NumberNonce,
    /// The token has no `sub` (case 73).
    MissingSub,
    /// `sub` is an empty string (case 73).
    EmptySub,
    /// `sub` is a number (case 73).
    NumberSub,
    /// `sub` has 256 characters (case 73).
    LongSub,
    /// `at_hash` belongs to another access token (case 74).
    WrongAtHash,
    /// The token has no `at_hash`, which the code flow allows (case 74).
    MissingAtHash,
    /// `auth_time` is a week ago, which is invalid if the client requested `max_age` (case 75).
    StaleAuthTime,
    /// The token has no `auth_time`, which is invalid if the client requested `max_age` (case 75).
    MissingAuthTime,
    /// `acr` is `t0` (case 75).
    WeakAcr,
    /// The token has no `acr` (case 75).
    MissingAcr,
    /// The claims contain `sub` twice (case 76).
    DuplicateClaim,
    /// The header contains `alg` twice (case 76).
    DuplicateHeader,
    /// The payload is an array, not an object (case 76).
    ClaimsNotObject,
    /// The payload contains bytes that are not UTF-8 (case 76).
    BadUtf8,
    /// The payload is not JSON (case 76).
    NotJson,
    /// The payload contains additional bytes after the claims (case 76).
    TrailingData,
    /// A claim contains 4,000 nested arrays (case 76).
    DeepNesting,
    /// The token has no signature part (case 77).
    TwoParts,
    /// The token has a fourth part (case 77).
    FourParts,
    /// The token has a fourth and a fifth part (case 77).
    FiveParts,
    /// The token uses the JSON serialization of RFC 7515 section 7.2 (case 77).
    JsonForm,
    /// The base64 has padding (case 77).
    Padded,
    /// The token ends with a space (case 77).
    TrailingSpace,
    /// The token contains a line break (case 77).
    LineBreak,
    /// The unused bits in the last character of the signature are set (case 77).
    SpareBits,
    /// The token is a million dots (case 78).
    ManyDots,
    /// The size of the token is 20 KiB. The token fits into a response but is larger than any valid
    /// token (case 78).
    Large,
    /// The size of the token is 10 MB (case 78).
    Huge,
    /// `kyc_status` has an unknown value. The client keeps the value, but the value satisfies no
    /// requirement ([K41](crate::guide::contract)).
    UnknownStatus,
    /// `kyc_tier` has an unknown value. The client keeps the value, but the value satisfies no
    /// requirement ([K41](crate::guide::contract)).
    UnknownTier,
    /// `kyc_status` is `null` ([K31](crate::guide::contract)).
    NullStatus,
    /// `kyc_tier` is a number ([K32](crate::guide::contract)).
    NumericTier,
    /// `kyc_tier` is in upper case ([K32](crate::guide::contract)).
    UpperCaseTier,
    /// The token has no `kyc_status` and no `kyc_tier`. The client treats the status and the tier
    /// as unknown ([K31](crate::guide::contract)).
    MissingKyc,
    /// The token has an unknown claim, which a client ignores.
    UnknownClaim,
    /// The access token has no `client_id` (case 84).
    MissingClientId,
    /// The `client_id` of the access token names another client (case 84).
    ForeignClientId,
    /// The access token has no `jti` (case 84).
    MissingJti,
    /// The `scope` of the access token is an array (case 85).
    ScopeArray,
}
