//! Faults at a mock in another process.

use std::{
    fmt::{self, Debug},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    RemoteMock,
    call::{Admin, RemoteError},
};
use crate::mock::http::endpoint::Endpoint;

/// Faults.
impl RemoteMock {
    /// What is to go wrong at an endpoint.
    pub fn on(&self, endpoint: Endpoint) -> RemoteOn {
        RemoteOn {
            admin: self.admin.clone(),
            endpoint,
        }
    }
}

/// What is to go wrong at one endpoint. Each method gives a [`RemoteRule`], to be finished with
/// [`times`](RemoteRule::times) or [`always`](RemoteRule::always).
#[must_use = "a fault is installed by `once`, `times` or `always`"]
pub struct RemoteOn {
    admin: Admin,
    endpoint: Endpoint,
}

impl RemoteOn {
    /// Answers with this status.
    pub fn fail(self, status: u16) -> RemoteRule {
        self.rule(json!({ "status": status }))
    }

    /// Answers late, but well, in real time.
    pub fn delay(self, by: Duration) -> RemoteRule {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.rule(json!({ "delay_ms": by }))
    }

    /// Answers with what is no JSON.
    pub fn garbage(self) -> RemoteRule {
        self.rule("garbage".into())
    }

    /// Never answers.
    pub fn hang(self) -> RemoteRule {
        self.rule("hang".into())
    }

    /// Resets the connection.
    pub fn reset(self) -> RemoteRule {
        self.rule("reset".into())
    }

    /// Closes the connection without a byte.
    pub fn drop_connection(self) -> RemoteRule {
        self.rule("drop_connection".into())
    }

    /// Promises the real answer whole, sends half of it, and closes.
    pub fn truncate(self) -> RemoteRule {
        self.rule("truncate".into())
    }

    fn rule(self, fault: Value) -> RemoteRule {
        let mut body = Map::new();
        body.insert("endpoint".to_owned(), self.endpoint.word().into());
        body.insert("fault".to_owned(), fault);
        RemoteRule {
            admin: self.admin,
            body,
        }
    }
}

impl Debug for RemoteOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteOn").field(&self.endpoint).finish()
    }
}

/// What is to go wrong, and not yet how often.
#[must_use = "a fault is installed by `once`, `times` or `always`"]
pub struct RemoteRule {
    admin: Admin,
    body: Map<String, Value>,
}

impl RemoteRule {
    /// Adds `Retry-After`, in seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.body.insert("retry_after".to_owned(), seconds.into());
        self
    }

    /// Installs it for the next request alone.
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked.
    pub async fn once(self) -> Result<RemoteFault, RemoteError> {
        self.times(1).await
    }

    /// Installs it for the next `times` requests.
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked.
    pub async fn times(mut self, times: u64) -> Result<RemoteFault, RemoteError> {
        self.body.insert("times".to_owned(), times.into());
        self.always().await
    }

    /// Installs it until it is [removed](RemoteFault::remove), or the mock is reset or ends.
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked.
    pub async fn always(self) -> Result<RemoteFault, RemoteError> {
        let fault: FaultView = self.admin.post("/faults", &self.body).await?;
        Ok(RemoteFault {
            admin: self.admin,
            id: fault.id,
        })
    }
}

impl Debug for RemoteRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteRule").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct FaultView {
    id: u64,
    hits: u64,
}

/// An installed fault. It stays when this is dropped.
pub struct RemoteFault {
    admin: Admin,
    id: u64,
}

impl RemoteFault {
    /// How often it was hit.
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked.
    pub async fn hits(&self) -> Result<u64, RemoteError> {
        let fault: FaultView = self.admin.get(&self.path()).await?;
        Ok(fault.hits)
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked.
    pub async fn remove(self) -> Result<(), RemoteError> {
        self.admin.delete(&self.path()).await.map(drop)
    }

    fn path(&self) -> String {
        format!("/faults/{}", self.id)
    }
}

impl Debug for RemoteFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteFault").field(&self.id).finish()
    }
}
