//! Types and names of KYCPort's protocol, one file per group of endpoints.
//!
//! The SDK and the mock issuer share these types, so a renamed field fails to compile in both. The
//! codes `K1`, `K2` and so on are rows of [the contract](crate::guide::contract).

// The mock uses names and types that the SDK does not.
#![cfg_attr(not(feature = "mock"), allow(dead_code))]

pub(crate) mod authorize;
pub(crate) mod cases;
pub(crate) mod claims;
pub(crate) mod discovery;
mod id;
pub(crate) mod jwks;
pub(crate) mod kyc;
pub(crate) mod status_aliases;
pub(crate) mod token;
pub(crate) mod webhook;
mod word;

pub(crate) use id::{MAX_ID_BYTES, is_id};

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::{
        cases::{CaseResponse, DecisionResponse, OpenCase},
        jwks::Jwk,
        kyc::{ApiError, KycStatus, KycTier},
        webhook::{EventBody, EventData, EventType},
    };

    fn debug<T: Debug + DeserializeOwned>(value: &Value) -> String {
        format!("{:?}", T::deserialize(value).unwrap())
    }

    #[test]
    fn debug_shows_no_text_of_an_error() {
        let text = json!({"error": "canary", "detail": "canary", "message": "canary"});
        assert!(!debug::<ApiError>(&text).contains("canary"));
    }

    #[test]
    fn debug_shows_no_private_key() {
        // case 23
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "canary"});
        assert!(!debug::<Jwk>(&key).contains("canary"));
    }

    #[test]
    fn debug_shows_neither_person_nor_decision() {
        let case = json!({
            "id": "case_canary", "person_id": "person_canary", "level": "t2", "status": "decided",
            "decision": {
                "outcome": "rejected", "risk_level": "high", "human_verified": true,
                "automation_tier": "canary",
            },
        });
        let shown = debug::<CaseResponse>(&case);
        assert!(shown.contains("Decided"), "{shown}");
        let decision = debug::<DecisionResponse>(&case["decision"]);
        let shown = format!("{shown} {decision} {}", debug::<OpenCase>(&case)).to_lowercase();
        for hidden in ["canary", "rejected", "high", "true"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }

    #[test]
    fn an_event_is_written_and_read() {
        let body = EventBody {
            id: "evt_1".to_owned(),
            event_type: EventType::StatusChanged,
            created_at: "2026-01-02T03:04:05Z".to_owned(),
            data: EventData {
                person_id: "ada".to_owned(),
                kyc_status: Some(KycStatus::Verified),
                kyc_tier: Some(KycTier::T2),
                aml_clear: Some(true),
                case_id: None,
            },
        };
        let json = json!({
            "id": "evt_1", "type": "kyc.status_changed", "created_at": "2026-01-02T03:04:05Z",
            "data": {
                "person_id": "ada", "kyc_status": "verified", "kyc_tier": "t2", "aml_clear": true,
            },
        });
        assert_eq!(serde_json::to_value(&body).unwrap(), json);
        assert_eq!(serde_json::from_value::<EventBody>(json).unwrap(), body);
    }
}
