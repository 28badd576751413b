//! HTTP: endpoints, parameters, responses, connections, and the request log.

pub(super) mod answer;
pub(super) mod api_error;
pub(super) mod bearer;
pub(super) mod broken_response;
pub(super) mod channel;
pub(super) mod content_type;
pub(super) mod endpoint;
pub(super) mod log;
pub(super) mod params;
pub(super) mod segment;
pub(super) mod socket;
pub(super) mod tls;
