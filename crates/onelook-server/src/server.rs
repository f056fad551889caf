//! From a configuration to a running server, and to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::Config;
use crate::connections::Harbour;
use crate::http;
use crate::tls::Tls;

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration makes no sense.
    #[error("{0}")]
    Config(String),
    /// The system refused a port.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Host and port.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system refused threads.
    #[error("the server's threads could not be started: {0}")]
    Threads(std::io::Error),
}

/// What happens to a server, for those who watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It answers from now on; models may still be loading.
    Listening {
        /// HTTP (and gRPC).
        http: SocketAddr,
        /// The second port.
        grpc: Option<SocketAddr>,
        /// The port for metrics alone.
        metrics: Option<SocketAddr>,
        /// Whether connections are encrypted.
        tls: bool,
        /// Time since the start of the process.
        after: Duration,
    },
    /// A model serves.
    Loaded {
        /// Its name.
        model: String,
        /// Where it runs.
        device: String,
        /// Time of loading and of the first run.
        time: Duration,
    },
    /// A model could not be loaded.
    Failed {
        /// Its name.
        model: String,
        /// Why.
        reason: String,
    },
    /// Every model has been tried; whether at least one serves.
    Ready {
        /// Whether requests can be answered.
        ready: bool,
        /// Time since the start of the process.
        after: Duration,
    },
    /// It was told to stop and finishes what it has.
    Stopping,
    /// It has stopped; whether everything was finished in time.
    Stopped {
        /// False when connections had to be cut.
        finished: bool,
    },
}

/// A server that listens.
pub struct Server {
    app: Arc<App>,
    http: TcpListener,
    grpc: Option<TcpListener>,
    metrics: Option<TcpListener>,
    tls: Option<Tls>,
}

impl Server {
    /// Takes the ports. `started` is when the process began.
    pub async fn bind(config: Config, started: Instant) -> Result<Self, ServeError> {
        let tls = config.tls.as_ref().map(Tls::load).transpose();
        let tls = tls.map_err(ServeError::Config)?;
        let host = config.host.clone();
        let (grpc, metrics) = (config.grpc_port, config.metrics_port);
        let http = listen(&host, config.port).await?;
        let grpc = match grpc {
            Some(port) => Some(listen(&host, port).await?),
            None => None,
        };
        let metrics = match metrics {
            Some(port) => Some(listen(&host, port).await?),
            None => None,
        };
        let app = App::new(config, started).map_err(ServeError::Config)?;
        Ok(Self {
            app,
            http,
            grpc,
            metrics,
            tls,
        })
    }

    /// Where HTTP is answered.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.http.local_addr()
    }

    /// The server's state.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Answers until `stop`, then finishes what it has. Models load while it answers already.
    pub async fn run(
        self,
        stop: CancellationToken,
        on_event: impl Fn(Event) + Send + Sync + 'static,
    ) {
        let on_event = Arc::new(on_event);
        let address = |listener: &TcpListener| listener.local_addr().ok();
        if let Some(http) = address(&self.http) {
            on_event(Event::Listening {
                http,
                grpc: self.grpc.as_ref().and_then(address),
                metrics: self.metrics.as_ref().and_then(address),
                tls: self.tls.is_some(),
                after: self.app.started.elapsed(),
            });
        }
        let harbour = Harbour::new(Arc::clone(&self.app), stop.clone());
        let router = http::router(Arc::clone(&self.app));
        let mut ports = vec![tokio::spawn(harbour.clone().accept(
            self.http,
            router.clone(),
            self.tls.clone(),
        ))];
        if let Some(listener) = self.grpc {
            let tls = self.tls.clone();
            ports.push(tokio::spawn(harbour.clone().accept(listener, router, tls)));
        }
        if let Some(listener) = self.metrics {
            let router = http::metrics_router(Arc::clone(&self.app));
            ports.push(tokio::spawn(harbour.clone().accept(listener, router, None)));
        }
        let loading = tokio::spawn(load_all(Arc::clone(&self.app), Arc::clone(&on_event)));
        stop.cancelled().await;
        on_event(Event::Stopping);
        loading.abort();
        for port in ports {
            let _ = port.await;
        }
        let finished = harbour.finish().await;
        on_event(Event::Stopped { finished });
    }
}

async fn listen(host: &str, port: u16) -> Result<TcpListener, ServeError> {
    let bound = TcpListener::bind((host, port)).await;
    bound.map_err(|source| ServeError::Bind {
        address: format!("{host}:{port}"),
        source,
    })
}

async fn load_all(app: Arc<App>, on_event: Arc<impl Fn(Event) + Send + Sync + 'static>) {
    for slot in app.catalogue.announce() {
        let model = slot.name.clone();
        on_event(match app.catalogue.load(&slot).await {
            Ok(served) => Event::Loaded {
                model,
                device: served.model.device().to_owned(),
                time: served.load_time,
            },
            Err(problem) => Event::Failed {
                model,
                reason: problem.detail,
            },
        });
    }
    on_event(Event::Ready {
        ready: app.catalogue.is_ready(),
        after: app.started.elapsed(),
    });
}
