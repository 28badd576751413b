//! Sandbox of a handle. Dropping the handle removes the sandbox from the mock.

use std::thread;

use tokio::runtime::Builder;

use super::admin_client::{AdminClient, RemoteError};

pub(super) struct Sandbox {
    /// The origin of the mock that contains the sandbox.
    parent: String,
    /// The sandbox ID, or an empty string after `end` has removed the sandbox.
    id: String,
}

impl Sandbox {
    pub(super) fn new(parent: &str, id: String) -> Self {
        Self {
            parent: parent.to_owned(),
            id,
        }
    }

    pub(super) async fn end(mut self) -> Result<(), RemoteError> {
        let id = std::mem::take(&mut self.id);
        end(&self.parent, &id).await
    }
}

async fn end(parent: &str, id: &str) -> Result<(), RemoteError> {
    let admin = AdminClient::new(parent, None)?;
    admin.delete(&format!("/sandboxes/{id}")).await.map(drop)
}

impl Drop for Sandbox {
    /// Removes the sandbox on a separate thread with a separate runtime, because the test's runtime
    /// may already shut down.
    fn drop(&mut self) {
        if self.id.is_empty() {
            return;
        }
        let (parent, id) = (self.parent.clone(), std::mem::take(&mut self.id));
        let ending = thread::spawn(move || {
            if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
                // If this request fails, the sandbox exists until the mock stops.
                let _ = runtime.block_on(end(&parent, &id));
            }
        });
        let _ = ending.join();
    }
}
