//! What systemd is told: that the server is ready, reads its files again, stops, and still answers.
//! Without systemd nothing is sent.

#[cfg(target_os = "linux")]
mod systemd {
    use std::io;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    use onelook_server::Event;
    use onelook_server::probe::Probe;
    use sd_notify::NotifyState::{self, Ready, Reloading, Status, Stopping, Watchdog};

    /// How far the server is, as systemd was told: READY=1 counts once it has started, RELOADING=1 only
    /// between READY=1 and the next one, nothing after STOPPING=1.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    enum Phase {
        #[default]
        Starting,
        Serving,
        Reloading,
        Stopping,
    }

    /// Tells systemd what happens to the server; cloned for each task that does.
    #[derive(Clone, Default)]
    pub struct ServiceManager(Arc<Mutex<Phase>>);

    impl ServiceManager {
        /// Tells what happened to the server.
        pub fn tell(&self, event: &Event) {
            let status = match event {
                Event::Ready { ready: true, .. } => "ready",
                Event::Ready { ready: false, .. } => "not ready: the default model does not serve",
                Event::Draining(_) => "not ready: about to stop",
                Event::Stopping => "finishing requests",
                _ => return,
            };
            let is_ready = matches!(event, Event::Ready { .. });
            let mut phase = self.phase();
            match (is_ready, *phase) {
                (true, Phase::Starting | Phase::Serving) => {
                    *phase = Phase::Serving;
                    notify(&[Ready, Status(status)]);
                }
                // READY=1 would say that files have been read.
                (true, Phase::Reloading) => notify(&[Status(status)]),
                (true, Phase::Stopping) => {}
                (false, _) => {
                    *phase = Phase::Stopping;
                    notify(&[Stopping, Status(status)]);
                }
            }
        }

        /// Tells that files are read again.
        pub fn tell_reloading(&self) {
            let mut phase = self.phase();
            if *phase == Phase::Serving {
                *phase = Phase::Reloading;
                // systemd wants the time beside the word.
                match NotifyState::monotonic_usec_now() {
                    Ok(now) => notify(&[Reloading, now]),
                    Err(_) => notify(&[Reloading]),
                }
            }
        }

        /// Tells that files have been read.
        pub fn tell_reloaded(&self) {
            let mut phase = self.phase();
            if *phase == Phase::Reloading {
                *phase = Phase::Serving;
                notify(&[Ready]);
            }
        }

        /// Locked while a message is sent, so that they arrive in the order of the phases. Only a plain
        /// value is kept under the lock, so poisoning is ignored.
        fn phase(&self) -> MutexGuard<'_, Phase> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Tells twice per interval of the watchdog that the server answers, as long as it does.
    pub async fn feed_watchdog(probe: Probe) {
        let Some(interval) = sd_notify::watchdog_enabled() else {
            return;
        };
        let half = interval / 2;
        let mut ticks = tokio::time::interval(half);
        loop {
            ticks.tick().await;
            if probe.answers(half).await {
                notify(&[Watchdog]);
            }
        }
    }

    /// Sends it to the socket that systemd names. If nobody is there, there is nobody to tell.
    fn notify(states: &[NotifyState<'_>]) {
        let address = std::env::var_os("NOTIFY_SOCKET").unwrap_or_default();
        let _ = match address.as_encoded_bytes().strip_prefix(b"@") {
            Some(name) => notify_abstract(name, states),
            None => sd_notify::notify(states),
        };
    }

    /// The same for a name that is no path, which the library does not know.
    fn notify_abstract(name: &[u8], states: &[NotifyState<'_>]) -> io::Result<()> {
        let lines: String = states.iter().map(|state| format!("{state}\n")).collect();
        let address = SocketAddr::from_abstract_name(name)?;
        let socket = UnixDatagram::unbound()?;
        socket.send_to_addr(lines.as_bytes(), &address).map(drop)
    }
}

#[cfg(not(target_os = "linux"))]
mod nobody {
    use onelook_server::Event;
    use onelook_server::probe::Probe;

    /// There is none.
    #[derive(Clone, Default)]
    pub struct ServiceManager;

    impl ServiceManager {
        /// There is nobody to tell.
        pub fn tell(&self, _: &Event) {}

        /// There is nobody to tell.
        pub fn tell_reloading(&self) {}

        /// There is nobody to tell.
        pub fn tell_reloaded(&self) {}
    }

    /// There is no watchdog.
    pub async fn feed_watchdog(_: Probe) {}
}

#[cfg(not(target_os = "linux"))]
pub use nobody::{ServiceManager, feed_watchdog};
#[cfg(target_os = "linux")]
pub use systemd::{ServiceManager, feed_watchdog};
