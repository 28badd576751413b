//! A sandbox that ends with its holder.

use std::thread;

use tokio::runtime::Builder;

use super::call::{Admin, RemoteError};

pub(super) struct Sandbox {
    /// The origin of the mock in which it is.
    parent: String,
    /// Empty once it was ended.
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
    let admin = Admin::new(parent, None)?;
    admin.delete(&format!("/sandboxes/{id}")).await.map(drop)
}

impl Drop for Sandbox {
    /// On a thread and a runtime of its own: the test's may be about to end.
    fn drop(&mut self) {
        if self.id.is_empty() {
            return;
        }
        let (parent, id) = (self.parent.clone(), std::mem::take(&mut self.id));
        let ending = thread::spawn(move || {
            if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
                // It ends with its mock in any case.
                let _ = runtime.block_on(end(&parent, &id));
            }
        });
        let _ = ending.join();
    }
}
