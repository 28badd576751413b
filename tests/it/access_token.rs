//! access_token
