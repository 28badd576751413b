//! token_endpoint
