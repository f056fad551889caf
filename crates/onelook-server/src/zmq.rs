//! The protocol of Frigate's `zmq` detector: a tensor in, twenty boxes out, over ZeroMQ's REQ and REP.
//!
//! Whoever reaches the socket may use it: ZeroMQ's own security is not spoken. Requests go through the
//! inference service like all others.

mod detector;
mod tensor;
mod wire;

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::app::App;
use crate::config::MaxConnections;
use crate::connection_watch::ConnectionWatch;
use crate::connections::{ConnectionPlace, OpenConnections};
use crate::memory_budget::MemoryBudget;
use crate::zmq_endpoint::ZmqEndpoint;
use wire::{FrameLimits, Peer};

/// Frigate has one connection for each detector.
const MAX_CONNECTIONS: MaxConnections = MaxConnections {
    all: 64,
    per_address: 32,
};

/// A socket that listens.
pub enum ZmqListener {
    /// By TCP.
    Tcp(TcpListener),
    /// By a Unix socket, whose file goes with this.
    Ipc {
        /// Accepts connections.
        listener: UnixListener,
        /// Goes with it.
        _file: SocketFile,
    },
}

/// Removes the file of a Unix socket in the end.
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl ZmqListener {
    /// Listens. A file that a dead process has left is replaced.
    ///
    /// # Errors
    /// The address is taken, or cannot be used.
    pub async fn bind(endpoint: &ZmqEndpoint) -> std::io::Result<Self> {
        match endpoint {
            ZmqEndpoint::Tcp(host, port) => {
                let listener = TcpListener::bind((host.as_str(), *port)).await?;
                Ok(Self::Tcp(listener))
            }
            ZmqEndpoint::Ipc(path) => {
                let bound = match UnixListener::bind(path) {
                    Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                        if !is_dead_socket(path) {
                            return Err(error);
                        }
                        std::fs::remove_file(path)?;
                        UnixListener::bind(path)
                    }
                    bound => bound,
                };
                Ok(Self::Ipc {
                    listener: bound?,
                    _file: SocketFile(path.clone()),
                })
            }
        }
    }

    /// The port, by TCP.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
            Self::Ipc { .. } => None,
        }
    }

    /// Answers requests until this is dropped. All sockets share the places of `open`.
    pub async fn serve(self, app: Arc<App>, open: Arc<OpenConnections>) {
        loop {
            let accepted = match &self {
                Self::Tcp(listener) => listener.accept().await.map(|(stream, peer)| {
                    // Small frames must not wait for each other.
                    let _ = stream.set_nodelay(true);
                    admit(stream, peer.ip(), &app, &open);
                }),
                Self::Ipc { listener, .. } => listener.accept().await.map(|(stream, _)| {
                    admit(stream, IpAddr::V4(Ipv4Addr::LOCALHOST), &app, &open);
                }),
            };
            if let Err(error) = accepted {
                tracing::warn!(%error, "a ZeroMQ connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Places for the connections of all sockets.
pub fn places() -> Arc<OpenConnections> {
    OpenConnections::new(MAX_CONNECTIONS, &[])
}

/// Whether a path is a socket at which nobody listens.
fn is_dead_socket(path: &Path) -> bool {
    let metadata = std::fs::symlink_metadata(path);
    metadata.is_ok_and(|it| it.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(path).is_err()
}

/// Answers a client in a task of its own, if there is a place for it: the connection that has been silent for
/// longest makes way.
fn admit(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    address: IpAddr,
    app: &Arc<App>,
    open: &Arc<OpenConnections>,
) {
    let watch = ConnectionWatch::new(app.config.limits.min_progress);
    let Ok(place) = open.admit(address, &watch) else {
        let most = MAX_CONNECTIONS.all;
        tracing::warn!(%address, "a ZeroMQ connection was closed: there are {most} in all, or half as many of this address, and none is idle");
        return;
    };
    let app = Arc::clone(app);
    tokio::spawn(async move {
        if let Err(reason) = talk(stream, &app, &watch, &place).await {
            tracing::info!(reason, "a ZeroMQ connection was ended");
        }
    });
}

/// Answers one client until it leaves, breaks the rules, or makes way between two requests.
async fn talk(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    app: &Arc<App>,
    watch: &Arc<ConnectionWatch>,
    place: &ConnectionPlace,
) -> Result<(), String> {
    let closed = || Err("it made way for another".to_owned());
    let mut peer = tokio::select! {
        peer = Peer::greet(stream, app.config.limits.header_timeout) => peer?,
        () = place.close.cancelled() => return closed(),
    };
    let limits = FrameLimits {
        bytes: app.config.limits.body_bytes,
        memory: &app.memory,
    };
    loop {
        let first = tokio::select! {
            first = peer.wait() => first?,
            () = place.close.cancelled() => return closed(),
        };
        let Some(first) = first else { return Ok(()) };
        let _busy = watch.request();
        let request = peer.receive(first, &limits).await?;
        let reply = detector::answer(app, &request).await;
        peer.reply(&request.envelope, &reply).await?;
    }
}

/// Reads what a client sends as its handshake and its messages, each frame of at most `limit` bytes; how many
/// messages there are.
pub fn count_messages(bytes: &[u8], limit: usize) -> usize {
    let memory = MemoryBudget::new(2 * limit);
    let limits = FrameLimits {
        bytes: limit,
        memory: &memory,
    };
    let read = async {
        let mut messages = 0;
        let stream = tokio::io::join(bytes, tokio::io::sink());
        let Ok(mut peer) = Peer::greet(stream, Duration::from_secs(1)).await else {
            return 0;
        };
        while let Ok(Some(first)) = peer.wait().await
            && peer.receive(first, &limits).await.is_ok()
        {
            messages += 1;
        }
        messages
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.map_or(0, |runtime| runtime.block_on(read))
}
