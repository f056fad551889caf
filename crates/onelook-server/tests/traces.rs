//! Traces as a collector sees them: a span per request and per stage, in the caller's own trace.
//! Needs the feature `otlp`: `cargo test -p onelook-server --features otlp --test traces`.
#![cfg(feature = "otlp")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::routing::post;
use onelook::types::Frame;
use onelook_server::logs::{self, LogFormat, LogOptions};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A collector that accepts everything. The names of spans are plain text in its messages.
async fn collector() -> (String, mpsc::UnboundedReceiver<Bytes>) {
    let (tell, exported) = mpsc::unbounded_channel();
    let take = move |body: Bytes| async move {
        drop(tell.send(body));
        // An empty message, and a status that says so in the head.
        Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "0")
            .body(Body::from(vec![0; 5]))
            .unwrap()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route(EXPORT, post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, exported)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_becomes_spans_of_the_callers_trace() {
    let (address, mut exported) = collector().await;
    let running = logs::start(&LogOptions {
        format: LogFormat::Text,
        levels: "off".to_owned(),
        directory: None,
        keep: 1,
        colour: false,
        otlp: Some(address),
    });
    let logs = running.unwrap();
    let server = support::tiny().await;
    let frame = Frame::filled(64, 64, [90, 120, 30]).unwrap();
    let image = onelook::media::encode_png(&frame).unwrap();
    let mut request = server.request("POST", "/v1/detect", Body::from(image));
    let headers = request.headers_mut();
    headers.insert("content-type", "image/png".parse().unwrap());
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    headers.insert("traceparent", parent.parse().unwrap());
    assert_eq!(server.send(request).await.status, 200);
    // Ends the export, which waits for its own thread.
    tokio::task::spawn_blocking(move || drop(logs))
        .await
        .unwrap();
    let message = tokio::time::timeout(Duration::from_secs(10), exported.recv());
    let message = message.await.unwrap().unwrap();
    let has = |bytes: &[u8]| message.windows(bytes.len()).any(|part| part == bytes);
    for name in [
        "onelook",
        "request",
        "queue",
        "decode and preprocess",
        "inference",
        "postprocess",
    ] {
        assert!(has(name.as_bytes()), "no span is called {name:?}");
    }
    let trace: Vec<u8> = (0..16)
        .map(|at| u8::from_str_radix(&TRACE[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    assert!(has(&trace), "the caller's trace is not continued");
}
