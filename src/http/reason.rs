//! Codes of transport errors in logs and metrics.

use super::TransportError;
use crate::observe::Reason;

impl Reason for TransportError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::TooLarge { .. } => "too_large",
            Self::Redirect { .. } => "redirect",
            Self::Encoded => "encoded",
            Self::Insecure => "insecure",
            Self::Request => "request",
        }
    }
}
