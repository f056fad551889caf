//! What systemd is told: that the server is ready, reads its files again, stops, and still answers.
//! Without systemd nothing is sent.

#[cfg(target_os = "linux")]
mod systemd {
    use std::io;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use onelook_server::Event;
    use onelook_server::probe::Probe;
    use sd_notify::NotifyState::{self, Ready, Reloading, Status, Stopping, Watchdog};

    /// Tells what happened to the server.
    pub fn tell(event: &Event) {
        match event {
            Event::Ready { ready: true, .. } => notify(&[Ready, Status("ready")]),
            Event::Ready { ready: false, .. } => {
                notify(&[Ready, Status("not ready: the default model does not serve")]);
            }
            Event::Draining(_) => notify(&[Stopping, Status("not ready: about to stop")]),
            Event::Stopping => notify(&[Stopping, Status("finishing requests")]),
            _ => {}
        }
    }

    /// Tells that files are read again.
    pub fn tell_reloading() {
        // systemd wants the time beside the word.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[Reloading, now]),
            Err(_) => notify(&[Reloading]),
        }
    }

    /// Tells that files have been read.
    pub fn tell_reloaded() {
        notify(&[Ready]);
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

    /// There is nobody to tell.
    pub fn tell(_: &Event) {}

    /// There is nobody to tell.
    pub fn tell_reloading() {}

    /// There is nobody to tell.
    pub fn tell_reloaded() {}

    /// There is no watchdog.
    pub async fn feed_watchdog(_: Probe) {}
}

#[cfg(not(target_os = "linux"))]
pub use nobody::{feed_watchdog, tell, tell_reloaded, tell_reloading};
#[cfg(target_os = "linux")]
pub use systemd::{feed_watchdog, tell, tell_reloaded, tell_reloading};
