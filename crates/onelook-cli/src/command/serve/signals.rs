//! Signals for a server: Ctrl-C and SIGTERM stop it, SIGHUP has it read its files again.

#[cfg(unix)]
mod unix {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// SIGHUP. From when this is made, it no longer ends the process.
    pub struct Hangups(Signal);

    impl Hangups {
        /// Takes the signal over; needs a runtime.
        pub fn register() -> io::Result<Self> {
            signal(SignalKind::hangup()).map(Self)
        }

        /// Waits for the next one. Several in a row may count as one.
        pub async fn next(&mut self) {
            if self.0.recv().await.is_none() {
                std::future::pending().await
            }
        }
    }

    /// Ctrl-C and SIGTERM.
    pub struct Stops {
        terminate: Signal,
        interrupt: Signal,
    }

    impl Stops {
        /// Takes the signals over; needs a runtime.
        pub fn register() -> io::Result<Self> {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            })
        }

        /// Waits for the next one.
        pub async fn next(&mut self) {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
        }
    }
}

#[cfg(not(unix))]
mod other {
    use std::io;

    /// There is no such signal here.
    pub struct Hangups;

    impl Hangups {
        /// Does nothing.
        pub fn register() -> io::Result<Self> {
            Ok(Self)
        }

        /// Never returns.
        pub async fn next(&mut self) {
            std::future::pending().await
        }
    }

    /// Ctrl-C.
    pub struct Stops;

    impl Stops {
        /// Does nothing.
        pub fn register() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits for the next one.
        pub async fn next(&mut self) {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(not(unix))]
pub use other::{Hangups, Stops};
#[cfg(unix)]
pub use unix::{Hangups, Stops};
