//! The one way in which the mock takes real time.

use std::time::Duration;

#[expect(
    clippy::disallowed_methods,
    reason = "it acts on the real deadline of a client; no test waits for it"
)]
pub(in crate::mock) async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}
