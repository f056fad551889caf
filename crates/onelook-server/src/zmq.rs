//! The protocol of Frigate's `zmq` detector: a tensor in, twenty boxes out, over ZeroMQ's REQ and REP.
//!
//! Whoever reaches the socket may use it: ZeroMQ's own security is not spoken. Requests go through the
//! inference service like all others.

mod detector;
mod tensor;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use crate::app::App;
use crate::zmq_endpoint::ZmqEndpoint;
use wire::Peer;

/// Most connections of all sockets; Frigate has one for each detector.
const MAX_CONNECTIONS: usize = 64;

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
                        if std::os::unix::net::UnixStream::connect(path).is_ok() {
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

    /// Answers requests until this is dropped.
    pub async fn serve(self, app: Arc<App>) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let app = Arc::clone(&app);
            let accepted = match &self {
                Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                    // Small frames must not wait for each other.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(async move {
                        talk(stream, app).await;
                        drop(place);
                    });
                }),
                Self::Ipc { listener, .. } => listener.accept().await.map(|(stream, _)| {
                    tokio::spawn(async move {
                        talk(stream, app).await;
                        drop(place);
                    });
                }),
            };
            if let Err(error) = accepted {
                tracing::warn!(%error, "a ZeroMQ connection was not accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// Answers one client until it leaves or breaks the rules.
async fn talk(stream: impl AsyncRead + AsyncWrite + Send + Unpin, app: Arc<App>) {
    let outcome = async {
        let mut peer = Peer::greet(stream).await?;
        while let Some(request) = peer.receive(&app).await? {
            let reply = detector::answer(&app, &request).await;
            peer.reply(&request.envelope, &reply).await?;
        }
        Ok::<(), String>(())
    };
    if let Err(reason) = outcome.await {
        tracing::info!(reason, "a ZeroMQ connection was ended");
    }
}
