//! Parts of HTTP requests and responses: cookies, headers, redirects and the correlation ID.

pub(super) mod audience;
pub(super) mod cookies;
pub(super) mod csrf;
pub(super) mod headers;
pub(super) mod random;
pub(super) mod redirect;
pub(super) mod reference;
pub(super) mod return_to;
