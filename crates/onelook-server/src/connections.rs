//! Connections: accepts them, bounds them, closes what only sits there, lets the rest finish.

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
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::app::App;
use crate::http::Peer;
use crate::tls::Tls;

/// Pause after the system refuses a connection, which it does when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often the other end of an HTTP/2 connection is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);

/// What the connections of all ports share.
#[derive(Clone)]
pub struct Harbour {
    app: Arc<App>,
    places: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Harbour {
    /// Room for as many connections as the limits allow.
    pub fn new(app: Arc<App>, stop: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(app.config.limits.connections.max(1)));
        Self {
            app,
            places,
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
            // Dropped at once when there is no room: a full house must not keep others waiting.
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                tracing::warn!(%peer, "a connection was closed: there are as many as allowed");
                continue;
            };
            let (harbour, router, tls) = (self.clone(), router.clone(), tls.clone());
            self.tasks.spawn(async move {
                harbour.app.metrics.connections.inc();
                harbour.greet(stream, peer, router, tls).await;
                harbour.app.metrics.connections.dec();
                drop(place);
            });
        }
    }

    /// Waits for the connections to finish what they have; false when that took too long.
    pub async fn finish(&self) -> bool {
        self.tasks.close();
        let patience = self.app.config.limits.shutdown_timeout;
        tokio::time::timeout(patience, self.tasks.wait())
            .await
            .is_ok()
    }

    async fn greet(&self, stream: TcpStream, peer: SocketAddr, router: Router, tls: Option<Tls>) {
        // Small answers must not wait for more to send.
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else {
            return self.serve(stream, peer, router).await;
        };
        let patience = self.app.config.limits.header_timeout;
        match tokio::time::timeout(patience, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream, peer, router).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS could not be agreed upon"),
            Err(_) => tracing::debug!(%peer, "TLS was not agreed upon in time"),
        }
    }

    async fn serve<S>(&self, stream: S, peer: SocketAddr, router: Router)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let patience = self.app.config.limits.header_timeout;
        let asked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&asked);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            seen.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(Peer(peer));
            router
                .clone()
                .oneshot(request.map(axum::body::Body::new) as Request)
        });
        let builder = builder(patience);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        // The protocols' own timers start with the first request's head.
        let silence = tokio::time::sleep(patience);
        tokio::pin!(silence);
        let (mut leaving, mut waiting) = (false, true);
        loop {
            tokio::select! {
                outcome = &mut connection => {
                    if let Err(error) = outcome {
                        tracing::debug!(%peer, %error, "a connection broke off");
                    }
                    return;
                }
                // Asked now and not before: the branch was chosen while nothing had been asked yet.
                () = &mut silence, if waiting => match asked.load(Ordering::Relaxed) {
                    true => waiting = false,
                    false => return,
                },
                () = self.stop.cancelled(), if !leaving => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

fn builder(patience: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(256)
        .max_header_list_size(32 << 10)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .enable_connect_protocol();
    builder
}
