//! The classic ways to bend a token, by name.

mod apply;
mod shape;

/// Defines the enum and the list of all it has, so that neither lacks what the other has.
macro_rules! tampers {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A way to bend a token. Each does one thing: all else stays as it should be, and the
        /// signature is good unless the name says otherwise.
        ///
        /// The numbers of cases are those of the [threats](crate::guide::threats).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Tamper {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Tamper {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

impl Tamper {
    /// Those that leave a good ID token: whatever reads it must accept it.
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

    /// Those whose verdict on an ID token hangs on what the client asked for, on its settings, or
    /// on how many keys there are.
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

    /// All others: an ID token bent so must be refused.
    pub fn attacks() -> impl Iterator<Item = Self> {
        let told =
            |tamper: &Self| Self::HARMLESS.contains(tamper) || Self::DEPENDS.contains(tamper);
        Self::ALL
            .iter()
            .copied()
            .filter(move |tamper| !told(tamper))
    }
}

tampers! {
    /// `alg: none`, unsigned (case 57).
    AlgNone,
    /// `alg: NoNe`, unsigned (case 57).
    AlgNoneMixedCase,
    /// `alg: null`, unsigned (case 57).
    AlgNull,
    /// No `alg` (case 57).
    AlgAbsent,
    /// `alg: HS256`, with the public key as the secret (cases 22, 58).
    Hs256WithPublicKey,
    /// `alg: RS256` (case 58).
    AlgRs256,
    /// `alg: ES256` (case 58).
    AlgEs256,
    /// `alg: Ed25519`, the fully specified name of RFC 9864 (case 59).
    AlgEd25519Name,
    /// One bit of the signature is turned (case 56).
    BadSignature,
    /// The signature is empty (case 56).
    EmptySignature,
    /// The signature is 63 bytes (case 80).
    ShortSignature,
    /// The signature is 65 bytes (case 80).
    LongSignature,
    /// The payload was changed after signing (case 56).
    AlteredPayload,
    /// The header was changed after signing (case 56).
    AlteredHeader,
    /// Signed with a key that was never published, under the `kid` of the active one (case 56).
    ForeignKey,
    /// As `ForeignKey`, and the header's `jwk` carries that key (case 60).
    ForeignKeyEmbeddedJwk,
    /// As `ForeignKey`, and the header's `jku` points to it (case 60).
    ForeignKeyJku,
    /// As `ForeignKey`, and the header's `x5u` points to it (case 60).
    ForeignKeyX5u,
    /// A `kid` that is not in the set (cases 10, 11).
    UnknownKid,
    /// No `kid` (case 16).
    NoKid,
    /// A `kid` that is a path (case 61).
    KidPath,
    /// A `kid` that is SQL (case 61).
    KidSql,
    /// A `kid` of 12 KiB (case 61).
    KidLong,
    /// A `kid` that is a number (case 61).
    KidNumber,
    /// `crit` with a name nobody knows (case 62).
    CritHeader,
    /// `crit` with nothing in it (case 62).
    CritEmpty,
    /// `b64: false` and `crit` with it (case 62).
    B64False,
    /// `typ: at+jwt` (case 63).
    TypAtJwt,
    /// `typ: application/at+jwt`, which an access token may have (case 84).
    TypApplicationAtJwt,
    /// `typ: JWT`: well in an ID token, not in an access token (case 84).
    TypJwt,
    /// `typ: logout+jwt` (case 63).
    TypLogout,
    /// No `typ`: well in an ID token, not in an access token (case 84).
    TypAbsent,
    /// `cty: JWT`, as of a nested token (case 79).
    NestedCty,
    /// `zip: DEF` (case 79).
    Zip,
    /// The five parts of a JWE (case 79).
    Jwe,
    /// Another issuer (case 64).
    WrongIssuer,
    /// The issuer with a slash more (case 64).
    IssuerSlash,
    /// The issuer in capitals (case 64).
    IssuerCase,
    /// The issuer as the beginning of another (case 65).
    IssuerPrefix,
    /// An array with the issuer in it (case 65).
    IssuerArray,
    /// A number (case 64).
    IssuerNumber,
    /// No `iss` (case 64).
    MissingIssuer,
    /// Another client's id (case 66).
    WrongAudience,
    /// Another audience beside the right one (case 67).
    ExtraAudience,
    /// An array with the right one alone: this is good (case 67).
    AudienceArrayOfOne,
    /// An empty array (case 66).
    AudienceEmptyArray,
    /// A number (case 66).
    AudienceNumber,
    /// The client id as the beginning of another (case 66).
    AudiencePrefix,
    /// No `aud` (case 66).
    MissingAudience,
    /// `azp` of another client (case 68).
    ForeignAzp,
    /// Expired an hour ago (case 69).
    Expired,
    /// No `exp` (case 69).
    MissingExp,
    /// `exp` as text (case 69).
    ExpString,
    /// `exp` of -1 (case 69).
    ExpNegative,
    /// `exp` of 1e300 (case 69).
    ExpFloat,
    /// `exp` of the largest number of 64 bits (case 69).
    ExpHuge,
    /// `exp` in ten years (case 69).
    ExpFarFuture,
    /// `nbf` in an hour (case 70).
    FutureNbf,
    /// `nbf` as text (case 70).
    NbfString,
    /// No `iat` (case 71).
    MissingIat,
    /// `iat` in an hour (case 71).
    FutureIat,
    /// `iat` a year ago (case 71).
    AncientIat,
    /// `iat` as text (case 71).
    IatString,
    /// Another nonce (case 72).
    WrongNonce,
    /// No nonce (case 72).
    MissingNonce,
    /// A nonce that is a number (case 72).
    NumberNonce,
    /// No `sub` (case 73).
    MissingSub,
    /// An empty `sub` (case 73).
    EmptySub,
    /// A `sub` that is a number (case 73).
    NumberSub,
    /// A `sub` of 256 characters (case 73).
    LongSub,
    /// The `at_hash` of another token (case 74).
    WrongAtHash,
    /// No `at_hash`, which the code flow allows (case 74).
    MissingAtHash,
    /// `auth_time` a week ago: bad if `max_age` was asked for (case 75).
    StaleAuthTime,
    /// No `auth_time`: bad if `max_age` was asked for (case 75).
    MissingAuthTime,
    /// `acr` of `t0` (case 75).
    WeakAcr,
    /// No `acr` (case 75).
    MissingAcr,
    /// `sub` twice (case 76).
    DuplicateClaim,
    /// `alg` twice in the header (case 76).
    DuplicateHeader,
    /// An array instead of claims (case 76).
    ClaimsNotObject,
    /// Bytes that are not UTF-8 among the claims (case 76).
    BadUtf8,
    /// No JSON at all (case 76).
    NotJson,
    /// Something after the claims (case 76).
    TrailingData,
    /// A claim of 4,000 arrays in each other (case 76).
    DeepNesting,
    /// No signature part (case 77).
    TwoParts,
    /// A fourth part (case 77).
    FourParts,
    /// A fourth and a fifth (case 77).
    FiveParts,
    /// The JSON serialisation of RFC 7515 section 7.2 (case 77).
    JsonForm,
    /// Base64 with padding (case 77).
    Padded,
    /// A space at the end (case 77).
    TrailingSpace,
    /// A line break inside (case 77).
    LineBreak,
    /// The unused bits of the last character are set (case 77).
    SpareBits,
    /// A million dots (case 78).
    ManyDots,
    /// 20 KiB: small enough for an answer, larger than any good token (case 78).
    Large,
    /// 10 MB (case 78).
    Huge,
    /// A status nobody knows: kept, satisfying nothing (K41).
    UnknownStatus,
    /// A tier nobody knows: kept, satisfying nothing (K41).
    UnknownTier,
    /// A status of `null` (K31).
    NullStatus,
    /// The tier as a number (K32).
    NumericTier,
    /// The tier in capitals (K32).
    UpperCaseTier,
    /// Neither status nor tier: not known (K31).
    MissingKyc,
    /// A claim nobody knows: to be ignored.
    UnknownClaim,
    /// No `client_id`, in an access token (case 84).
    MissingClientId,
    /// The `client_id` of another client, in an access token (case 84).
    ForeignClientId,
    /// No `jti`, in an access token (case 84).
    MissingJti,
    /// `scope` as an array, in an access token (case 85).
    ScopeArray,
}
