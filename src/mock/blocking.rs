//! A runtime for tests without an async runtime.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime that [`block_on`](Self::block_on) creates on its first call. Later calls use the same
/// runtime. Spawned tasks, such as the app under test, continue to run between two calls.
#[derive(Default)]
pub(super) struct Blocking(OnceLock<Runtime>);

impl Blocking {
    #[expect(clippy::panic, reason = "a test cannot continue without a runtime")]
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        assert!(
            Handle::try_current().is_err(),
            "`block_on` cannot be called within a runtime: use `.await` instead"
        );
        let runtime = self.0.get_or_init(|| {
            let mut builder = Builder::new_multi_thread();
            match builder.worker_threads(1).enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => panic!("the mock issuer could not create a runtime: {error}"),
            }
        });
        runtime.block_on(future)
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // A future may drop the last handle to the mock. A future must not block, so the
            // runtime shuts down in the background.
            runtime.shutdown_background();
        }
    }
}
