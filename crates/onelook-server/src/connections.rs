//! Connections of all ports: accepts them, limits their number, closes those that send nothing or read
//! nothing, and lets the others finish when the server stops.

mod open;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::app::App;
use crate::connection_watch::{ConnectionWatch, WatchedSocket};
use crate::forwarded;
use crate::request_context::RemoteAddress;
use crate::tls::Tls;
use open::Full;
pub use open::{ConnectionPlace, OpenConnections, client_address};

/// Pause after `accept` fails, which it does when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Shortest time without progress that is looked for.
const MIN_CHECK: Duration = Duration::from_millis(40);

/// The other end of a connection.
struct Peer {
    address: SocketAddr,
    watch: Arc<ConnectionWatch>,
    place: ConnectionPlace,
}

/// Accepts connections; shared by all ports.
#[derive(Clone)]
pub struct ConnectionAcceptor {
    app: Arc<App>,
    open: Arc<OpenConnections>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl ConnectionAcceptor {
    /// An acceptor for as many connections as the limits allow.
    pub fn new(app: Arc<App>, stop: CancellationToken) -> Self {
        let open = OpenConnections::new(app.config.limits.connections, &app.config.trusted_proxies);
        Self {
            app,
            open,
            stop,
            tasks: TaskTracker::new(),
        }
    }

    /// Accepts connections until told to stop.
    pub async fn accept(self, listener: TcpListener, router: Router, tls: Option<Tls>) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Closed at once instead of queued: a client that is turned away can go elsewhere.
            let watch = ConnectionWatch::new(self.app.config.limits.min_progress);
            let place = match self.open.admit(peer.ip(), &watch) {
                Ok(place) => place,
                Err(full) => {
                    let limit = match full {
                        Full::All => "--max-connections",
                        Full::Address => "--max-connections-per-address",
                    };
                    tracing::warn!(%peer, "a connection was closed: the limit of {limit} is reached and none is idle");
                    continue;
                }
            };
            let (acceptor, router, tls) = (self.clone(), router.clone(), tls.clone());
            self.tasks.spawn(async move {
                acceptor.app.metrics.connections.inc();
                let peer = Peer {
                    address: peer,
                    watch,
                    place,
                };
                acceptor.handshake(stream, &peer, router, tls).await;
                acceptor.app.metrics.connections.dec();
            });
        }
    }

    /// Waits for the connections to finish their requests; false if that took too long.
    pub async fn finish(&self) -> bool {
        self.tasks.close();
        let limit = self.app.config.limits.shutdown_timeout;
        tokio::time::timeout(limit, self.tasks.wait()).await.is_ok()
    }

    async fn handshake(&self, stream: TcpStream, peer: &Peer, router: Router, tls: Option<Tls>) {
        let address = peer.address;
        // Without this, a small answer may wait until there is more to send (Nagle's algorithm).
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else {
            return self.serve(stream, peer, router).await;
        };
        let limit = self.app.config.limits.header_timeout;
        let accepted = tokio::select! {
            accepted = tokio::time::timeout(limit, tls.accept(stream)) => accepted,
            // Until a request has come the connection is idle, and may have to make way.
            () = peer.place.close.cancelled() => return,
        };
        match accepted {
            Ok(Ok(stream)) => self.serve(stream, peer, router).await,
            Ok(Err(error)) => tracing::debug!(peer = %address, %error, "the TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %address, "the TLS handshake timed out"),
        }
    }

    async fn serve<S>(&self, stream: S, peer: &Peer, router: Router)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (watch, peer, place) = (&peer.watch, peer.address, &peer.place);
        let limits = &self.app.config.limits;
        let limit = limits.header_timeout;
        let has_request = Arc::new(AtomicBool::new(false));
        let mark = Arc::clone(&has_request);
        let of_request = Arc::clone(watch);
        let trusted = self.app.config.trusted_proxies.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            mark.store(true, Ordering::Relaxed);
            let remote = forwarded::client(peer.ip(), request.headers(), &trusted);
            request.extensions_mut().insert(RemoteAddress(remote));
            request.extensions_mut().insert(Arc::clone(&of_request));
            router
                .clone()
                .oneshot(request.map(axum::body::Body::new) as Request)
        });
        let builder = builder(limit, limits.ping_interval);
        let connection = builder.serve_connection_with_upgrades(
            TokioIo::new(WatchedSocket::new(stream, watch)),
            service,
        );
        tokio::pin!(connection);
        let interval = limits.min_progress.stall.max(MIN_CHECK) / 4;
        let mut check = tokio::time::interval(interval);
        // hyper's own timers start only with the first bytes of a request's head.
        let first_request = tokio::time::sleep(limit);
        tokio::pin!(first_request);
        let (mut shutting_down, mut awaits_first_request) = (false, true);
        loop {
            tokio::select! {
                outcome = &mut connection => {
                    if let Err(error) = outcome {
                        tracing::debug!(%peer, %error, "a connection broke off");
                    }
                    return;
                }
                // The flag is read here, not in the guard: guards are evaluated before the wait.
                () = &mut first_request, if awaits_first_request => match has_request.load(Ordering::Relaxed) {
                    true => awaits_first_request = false,
                    false => return,
                },
                () = place.close.cancelled(), if !shutting_down => {
                    tracing::debug!(%peer, "an idle connection made way for another");
                    if watch.idle_since().is_some() {
                        return;
                    }
                    shutting_down = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ = check.tick() => {
                    if watch.is_stalled(Instant::now()) {
                        tracing::info!(%peer, "a connection was closed: its client does not read the answer");
                        return;
                    }
                    // A stream that waits for its client's next message might never end by itself.
                    let idle_since = watch.idle_since().filter(|_| shutting_down);
                    if idle_since.is_some_and(|since| since.elapsed() > interval) {
                        return;
                    }
                }
                // Graceful shutdown: requests in progress are answered, then the connection closes.
                // The loop goes on until it has; `finish` bounds the wait.
                () = self.stop.cancelled(), if !shutting_down => {
                    shutting_down = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

fn builder(header_timeout: Duration, ping_interval: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(ping_interval)
        .keep_alive_timeout(ping_interval)
        // What a client does not read must stay where it is counted.
        .max_send_buf_size(16 << 10)
        .max_concurrent_streams(128)
        .max_header_list_size(16 << 10)
        // What nobody has asked for yet is counted nowhere. Several times the one of a stream, so that one that
        // waits does not hold up the others.
        .initial_stream_window_size(128 << 10)
        .initial_connection_window_size(512 << 10)
        .enable_connect_protocol();
    builder
}
