//! Faults of a mock in another process.

use std::{
    fmt::{self, Debug},
    time::Duration,
};

use super::{
    RemoteMock,
    admin_client::{AdminClient, RemoteError},
};
use crate::mock::{
    admin::{
        fault_spec::{AtEndpoint, EndpointFault},
        faults::FaultView,
    },
    http::endpoint::Endpoint,
};

/// Faults of a mock's endpoints.
impl RemoteMock {
    /// Returns the builder for faults at an endpoint.
    pub fn on(&self, endpoint: Endpoint) -> RemoteOn {
        RemoteOn {
            admin: self.admin.clone(),
            endpoint,
        }
    }
}

/// Builder for faults at one endpoint. Each method returns a [`RemoteRule`]. Install the rule with
/// [`once`](RemoteRule::once), [`times`](RemoteRule::times) or [`always`](RemoteRule::always).
#[must_use = "call `once`, `times` or `always` to install the fault"]
pub struct RemoteOn {
    admin: AdminClient,
    endpoint: Endpoint,
}

impl RemoteOn {
    /// Responds with this status.
    pub fn fail(self, status: u16) -> RemoteRule {
        self.rule(AtEndpoint::Status(status))
    }

    /// Delays the regular response, in real time.
    pub fn delay(self, by: Duration) -> RemoteRule {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.rule(AtEndpoint::DelayMs(by))
    }

    /// Responds with a body that is not JSON.
    pub fn garbage(self) -> RemoteRule {
        self.rule(AtEndpoint::Garbage)
    }

    /// Never sends a response.
    pub fn hang(self) -> RemoteRule {
        self.rule(AtEndpoint::Hang)
    }

    /// Resets the connection and sends no response.
    pub fn reset(self) -> RemoteRule {
        self.rule(AtEndpoint::Reset)
    }

    /// Closes the connection without a response.
    pub fn drop_connection(self) -> RemoteRule {
        self.rule(AtEndpoint::DropConnection)
    }

    /// Sends the headers of the regular response and half of its body, then closes the connection.
    pub fn truncate(self) -> RemoteRule {
        self.rule(AtEndpoint::Truncate)
    }

    fn rule(self, fault: AtEndpoint) -> RemoteRule {
        RemoteRule {
            admin: self.admin,
            fault: EndpointFault {
                endpoint: self.endpoint,
                fault,
                times: None,
                retry_after: None,
                after: false,
            },
        }
    }
}

impl Debug for RemoteOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteOn").field(&self.endpoint).finish()
    }
}

/// Rule that defines a fault. The mock applies the fault after the test has installed the rule.
#[must_use = "call `once`, `times` or `always` to install the fault"]
pub struct RemoteRule {
    admin: AdminClient,
    fault: EndpointFault,
}

impl RemoteRule {
    /// Adds a `Retry-After` header, in seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.fault.retry_after = Some(seconds);
        self
    }

    /// Installs the fault for the next request only.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn once(self) -> Result<RemoteFault, RemoteError> {
        self.times(1).await
    }

    /// Installs the fault for the next `times` requests.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn times(mut self, times: u64) -> Result<RemoteFault, RemoteError> {
        self.fault.times = Some(times);
        self.always().await
    }

    /// Installs the fault until the test [removes](RemoteFault::remove) the fault or resets the
    /// mock, or until the mock stops.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn always(self) -> Result<RemoteFault, RemoteError> {
        let fault: FaultView = self.admin.post("/faults", &self.fault).await?;
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

/// Handle to an installed fault. Dropping this handle does not remove the fault.
pub struct RemoteFault {
    admin: AdminClient,
    id: u64,
}

impl RemoteFault {
    /// Returns the number of requests that the fault affected.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn hits(&self) -> Result<u64, RemoteError> {
        let fault: FaultView = self.admin.get(&self.path()).await?;
        Ok(fault.hits)
    }

    /// Removes the fault.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
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
