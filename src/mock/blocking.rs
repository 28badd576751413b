//! A runtime for tests that have none.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

/// Made when it is first asked for, and kept: what was spawned on it, such as the app under test,
/// goes on between two calls.
#[derive(Default)]
pub(super) struct Blocking(OnceLock<Runtime>);

impl Blocking {
    #[expect(clippy::panic, reason = "a test that cannot run can only fail")]
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        assert!(
            Handle::try_current().is_err(),
            "`block_on` is for tests without a runtime; this one has one: use `.await`"
        );
        let runtime = self.0.get_or_init(|| {
            let mut builder = Builder::new_multi_thread();
            match builder.worker_threads(1).enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => panic!("the mock issuer could not make a runtime: {error}"),
            }
        });
        runtime.block_on(future)
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // The last handle may go from within a future, where nothing may wait.
            runtime.shutdown_background();
        }
    }
}
