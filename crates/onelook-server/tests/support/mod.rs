//! A server in the test's own process on a free port, a plain client for it, and test data.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, reason = "every test file takes what it needs of these")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use onelook::types::Tensor;
use onelook::{LoadOptions, Model};
use onelook_server::admission::{AdmissionRequest, Priority};
use onelook_server::app::App;
use onelook_server::{Config, Event, ModelSource, SecretSources, Server, Tokens};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A server that runs until this is dropped.
pub struct TestServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its state.
    pub app: Arc<App>,
    stop: CancellationToken,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A response of the server.
#[derive(Debug)]
pub struct TestResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl TestResponse {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header's text; empty if absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// A synthetic model of `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// A configuration for these models, on a free port.
pub fn config(models: &[(&str, PathBuf)]) -> Config {
    let models = models.iter().map(|(name, source)| ModelSource {
        name: (*name).to_owned(),
        source: source.clone(),
    });
    Config {
        port: 0,
        models: models.collect(),
        ..Config::default()
    }
}

/// Secrets that are these tokens, a line each.
pub fn tokens(lines: &str) -> SecretSources {
    SecretSources {
        tokens: Tokens::parse(lines).unwrap(),
        ..SecretSources::default()
    }
}

/// Starts a server, which may still be loading its models.
pub async fn start(config: Config) -> (TestServer, mpsc::UnboundedReceiver<Event>) {
    let server = Server::bind(config, Instant::now()).await.unwrap();
    let stop = CancellationToken::new();
    let running = TestServer {
        address: server.address().unwrap(),
        app: Arc::clone(server.app()),
        stop: stop.clone(),
    };
    let (tell, events) = mpsc::unbounded_channel();
    tokio::spawn(server.run(stop, move |event| drop(tell.send(event))));
    (running, events)
}

/// Starts a server and waits until loading of every model has been tried.
pub async fn serve(config: Config) -> TestServer {
    let (running, mut events) = start(config).await;
    loop {
        match events.recv().await.expect("the server runs") {
            Event::Ready { .. } => return running,
            _ => continue,
        }
    }
}

/// The two synthetic models, `tiny` for any size and `fixed` for one.
pub async fn tiny() -> TestServer {
    serve(config(&[
        ("tiny", fixture("tiny.model")),
        ("fixed", fixture("fixed.model")),
    ]))
    .await
}

/// A request for admission by another client than those of a test.
pub fn another_client() -> AdmissionRequest {
    AdmissionRequest {
        client: Arc::from("another"),
        priority: Priority::Normal,
        work: 1,
        deadline: tokio::time::Instant::now() + Duration::from_secs(600),
    }
}

/// A tensor of images whose values differ from each other.
pub fn test_tensor(shape: [usize; 4]) -> Tensor {
    Tensor::from_fn(shape, |index| ((index * 37) % 251) as f32 / 251.0)
}

/// Numbers as little-endian bytes.
pub fn le_bytes(numbers: &[f32]) -> Vec<u8> {
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
    bytes.collect()
}

/// What the library gives for a tensor.
pub fn output0(model: &str, input: &Tensor) -> Tensor {
    let model = Model::load(fixture(model), &LoadOptions::default()).unwrap();
    model.output0(input).unwrap()
}

impl TestServer {
    /// Sends a request on a connection of its own.
    pub async fn send(&self, request: Request<Body>) -> TestResponse {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        TestResponse {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> TestResponse {
        self.send(self.request("GET", path, Body::empty())).await
    }

    /// `POST path` with a body of this type.
    pub async fn post(&self, path: &str, kind: &str, body: impl Into<Bytes>) -> TestResponse {
        let body = Body::from(body.into());
        let mut request = self.request("POST", path, body);
        let kind = kind.parse().unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        self.send(request).await
    }

    /// A request for this server.
    pub fn request(&self, method: &str, path: &str, body: Body) -> Request<Body> {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .body(body)
            .unwrap()
    }
}
