//! Starts a server from its configuration, runs it, and shuts it down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::Config;
use crate::connections::ConnectionAcceptor;
use crate::http;
use crate::model_repository::{LoadedModel, ModelEntry};
use crate::probe::Probe;
use crate::reload::{Reloader, SeenFiles};
use crate::tls::Tls;
#[cfg(unix)]
use crate::zmq::{self, ZmqListener};
#[cfg(unix)]
use crate::zmq_endpoint::ZmqEndpoint;

/// Pause before a model that could not be loaded is tried again; each further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest such pause.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// Longest wait for the last frames of streams, and again for their events to be on disk.
const STREAMS_LIMIT: Duration = Duration::from_secs(2);

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration is invalid.
    #[error("{0}")]
    Config(String),
    /// The port cannot be used.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Host and port.
        address: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// Threads cannot be started.
    #[error("the server's threads could not be started: {0}")]
    Threads(std::io::Error),
}

/// What happens to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It answers requests from now on; models may still be loading.
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
    /// Something is not as the operator may expect, such as a file that is not served.
    Warning(String),
    /// A model is ready.
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
    /// Every model has been tried. Said again when a model that failed was loaded in the end.
    Ready {
        /// Whether requests can be answered.
        ready: bool,
        /// Time since the start of the process.
        after: Duration,
    },
    /// It was told to stop: it is not ready any more, but answers for this time as before.
    Draining(Duration),
    /// It stops and finishes the requests in progress.
    Stopping,
    /// It has stopped.
    Stopped {
        /// False if connections had to be cut.
        finished: bool,
    },
}

/// A server that is bound to its ports.
pub struct Server {
    app: Arc<App>,
    http: TcpListener,
    grpc: Option<TcpListener>,
    metrics: Option<TcpListener>,
    tls: Option<Tls>,
    #[cfg(unix)]
    zmq: Vec<ZmqListener>,
    reloader: Arc<Reloader>,
}

impl Server {
    /// Binds the ports. `started` is when the process began.
    pub async fn bind(config: Config, started: Instant) -> Result<Self, ServeError> {
        let seen = SeenFiles::of(&config.secrets);
        let tls = config.secrets.tls.as_ref().map(Tls::load).transpose();
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
        #[cfg(unix)]
        let zmq = listen_zmq(&config.zmq).await?;
        let app = App::new(config, started).map_err(ServeError::Config)?;
        let reloader = Reloader::new(Arc::clone(&app), tls.clone(), seen);
        reloader.start_streams().map_err(ServeError::Config)?;
        Ok(Self {
            #[cfg(unix)]
            zmq,
            reloader,
            app,
            http,
            grpc,
            metrics,
            tls,
        })
    }

    /// The address of the HTTP port.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.http.local_addr()
    }

    /// The ports of ZeroMQ sockets that listen by TCP.
    #[cfg(unix)]
    pub fn zmq_ports(&self) -> Vec<u16> {
        self.zmq.iter().filter_map(ZmqListener::port).collect()
    }

    /// The server's state.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Asks whether the server answers.
    pub fn probe(&self) -> Probe {
        Probe::new(http::rest(Arc::clone(&self.app)))
    }

    /// Reads tokens and certificates again when asked to.
    pub fn reloader(&self) -> Arc<Reloader> {
        Arc::clone(&self.reloader)
    }

    /// Answers requests until `stop`, then finishes those in progress. Models load meanwhile.
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
        let close = CancellationToken::new();
        let acceptor = ConnectionAcceptor::new(Arc::clone(&self.app), close.clone());
        let router = http::router(Arc::clone(&self.app));
        let mut ports = vec![tokio::spawn(acceptor.clone().accept(
            self.http,
            router.clone(),
            self.tls.clone(),
        ))];
        if let Some(listener) = self.grpc {
            let tls = self.tls.clone();
            ports.push(tokio::spawn(acceptor.clone().accept(listener, router, tls)));
        }
        if let Some(listener) = self.metrics {
            let router = http::metrics_router(Arc::clone(&self.app));
            ports.push(tokio::spawn(
                acceptor.clone().accept(listener, router, None),
            ));
        }
        #[cfg(unix)]
        let zmq: Vec<_> = {
            let places = zmq::places();
            let serve = |socket: ZmqListener| {
                tokio::spawn(socket.serve(Arc::clone(&self.app), Arc::clone(&places)))
            };
            self.zmq.into_iter().map(serve).collect()
        };
        tokio::spawn(http::sample_history(Arc::clone(&self.app), stop.clone()));
        let watching = tokio::spawn(self.reloader.watch());
        for warning in self.app.config.secrets.warnings() {
            on_event(Event::Warning(warning));
        }
        let loading = tokio::spawn(load_all(Arc::clone(&self.app), Arc::clone(&on_event)));
        // Graceful shutdown, in this order: be ready no more, load no further model, let load balancers
        // notice, accept no further connection, then let the open ones finish within the limit. What
        // is left after that is cut with the process.
        stop.cancelled().await;
        self.app.models.announce_stop();
        loading.abort();
        let delay = self.app.config.limits.drain_delay;
        if !delay.is_zero() {
            on_event(Event::Draining(delay));
            tokio::time::sleep(delay).await;
        }
        on_event(Event::Stopping);
        close.cancel();
        #[cfg(unix)]
        for socket in zmq {
            socket.abort();
        }
        // Whoever watches would keep connections open.
        self.app.streams.stop();
        self.app.videos.stop();
        for port in ports {
            let _ = port.await;
        }
        let finished = acceptor.finish().await;
        self.app.streams.finish(STREAMS_LIMIT).await;
        watching.abort();
        on_event(Event::Stopped { finished });
    }
}

#[cfg(unix)]
async fn listen_zmq(endpoints: &[ZmqEndpoint]) -> Result<Vec<ZmqListener>, ServeError> {
    let mut listeners = Vec::new();
    for endpoint in endpoints {
        let bound = ZmqListener::bind(endpoint).await;
        listeners.push(bound.map_err(|source| ServeError::Bind {
            address: endpoint.to_string(),
            source,
        })?);
    }
    Ok(listeners)
}

async fn listen(host: &str, port: u16) -> Result<TcpListener, ServeError> {
    let bound = TcpListener::bind((host, port)).await;
    bound.map_err(|source| ServeError::Bind {
        address: format!("{host}:{port}"),
        source,
    })
}

async fn load_all(app: Arc<App>, on_event: Arc<impl Fn(Event) + Send + Sync + 'static>) {
    for warning in app.models.warnings() {
        on_event(Event::Warning(warning));
    }
    let mut failed = Vec::new();
    for entry in app.models.announce() {
        match app.models.load(&entry).await {
            Ok(model) => on_event(loaded(&entry, &model)),
            Err(problem) => {
                let (model, reason) = (entry.name.clone(), problem.detail);
                on_event(Event::Failed { model, reason });
                failed.push(entry);
            }
        }
    }
    app.models.announced_were_tried();
    let ready = || Event::Ready {
        ready: app.models.is_ready(),
        after: app.started.elapsed(),
    };
    on_event(ready());
    let mut pause = FIRST_RETRY;
    while app.config.keep_trying && !failed.is_empty() {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_RETRY);
        let mut still_failed = Vec::new();
        for entry in failed {
            // It may have been loaded by a request meanwhile.
            if entry.loaded().is_ok() {
                continue;
            }
            match app.models.load(&entry).await {
                Ok(model) => {
                    on_event(loaded(&entry, &model));
                    on_event(ready());
                }
                Err(_) => still_failed.push(entry),
            }
        }
        failed = still_failed;
    }
}

fn loaded(entry: &ModelEntry, loaded: &LoadedModel) -> Event {
    Event::Loaded {
        model: entry.name.clone(),
        device: loaded.model.device().to_owned(),
        time: loaded.load_time,
    }
}
