//! A pause in real time. Only `wait` calls `sleep` in the mock.

use std::time::Duration;

#[expect(
    clippy::disallowed_methods,
    reason = "the pause tests a client's real deadline; no test waits for the pause itself"
)]
pub(in crate::mock) async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}
