//! Signals and conditions that stop the program.

use std::{
    io::{self, Read as _},
    thread,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
};

/// Listener for stop signals. `new` already starts to listen, because a script may stop the program
/// after it has read the first line.
pub(super) struct Shutdown {
    runtime: Runtime,
    signals: Signals,
}

impl Shutdown {
    pub(super) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let signals = Signals::new()?;
        drop(entered);
        Ok(Self { runtime, signals })
    }

    /// Waits for Ctrl-C (SIGINT) or SIGTERM.
    pub(super) fn wait(mut self) {
        self.runtime.block_on(self.signals.next());
    }

    /// Waits for Ctrl-C (SIGINT), SIGTERM or the end of standard input.
    pub(super) fn wait_with_stdin(mut self) {
        let (end, ended) = oneshot::channel::<()>();
        thread::spawn(move || {
            let mut byte = [0];
            while matches!(io::stdin().read(&mut byte), Ok(1..)) {}
            drop(end);
        });
        self.runtime.block_on(async {
            tokio::select! {
                () = self.signals.next() => {}
                _ = ended => {}
            }
        });
    }
}

#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 2]);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
