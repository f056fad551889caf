//! Clients who send too much, too slowly or from elsewhere, and clients who do not read.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use onelook::media::encode_png;
use onelook::types::Frame;
use onelook_server::{Config, Limits, MaxConnections, MinProgress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::colours::{FORM, colours, form, red_and_green};
use crate::support::{TestServer, serve, tokens};

async fn serve_within(limits: Limits) -> TestServer {
    let config = Config {
        limits,
        ..colours()
    };
    serve(config).await
}

fn progress(stall_ms: u64) -> MinProgress {
    MinProgress {
        stall: Duration::from_millis(stall_ms),
        bytes_per_second: 1000,
    }
}

/// Waits until something holds; it must within ten seconds.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < patience, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn head(path: &str, kind: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn without_a_valid_token_no_body_is_kept() {
    let server = serve(Config {
        secrets: tokens("camera s3cret infer"),
        ..colours()
    })
    .await;
    let all = server.app.memory.free();
    let mut strangers = Vec::new();
    for path in [
        "/v1/detect",
        "/v1/vision/detection",
        "/v2/models/colours/infer",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = head(path, FORM, 60 << 20);
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
        strangers.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.app.memory.free(), all);
}

#[tokio::test]
async fn a_token_in_a_form_counts_where_it_comes_before_the_image() {
    let server = serve(Config {
        secrets: tokens("camera s3cret infer"),
        ..colours()
    })
    .await;
    let path = "/v1/vision/detection";
    let large = [&red_and_green()[..], &[0; 8 << 10]].concat();
    let sound = form(&[("api_key", "s3cret")], &[("image;a.png", &large)]);
    let answer = server.post(path, FORM, sound.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let late: Bytes = [
        form(&[], &[("image;a.png", &large)])
            .strip_suffix(b"--\r\n")
            .unwrap(),
        b"\r\n",
        &form(&[("api_key", "s3cret")], &[])[..],
    ]
    .concat()
    .into();
    for body in [
        late,
        form(&[("api_key", "wrong")], &[("image;a.png", &large)]),
    ] {
        let answer = server.post(path, FORM, body).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    }
}

#[tokio::test]
async fn an_upload_that_keeps_its_pace_may_take_longer_than_a_request() {
    let server = serve_within(Limits {
        min_progress: progress(500),
        request_timeout: Duration::from_millis(500),
        ..Limits::default()
    })
    .await;
    let mut png = red_and_green().to_vec();
    png.resize(png.len().max(6000), 0);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = head("/v1/detect", "image/png", png.len());
    let head = head.replace("Host", "Connection: close\r\nHost");
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in png.chunks(png.len().div_ceil(12)) {
        stream.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn whoever_does_not_read_its_answers_is_cut_and_holds_nothing() {
    let server = serve_within(Limits {
        min_progress: progress(300),
        ..Limits::default()
    })
    .await;
    let all = server.app.memory.free();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let asked = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // The server stops reading when its answers are not taken.
    let flood = async {
        loop {
            if stream.write_all(asked.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    let cut = tokio::time::timeout(Duration::from_secs(20), flood).await;
    assert!(cut.is_ok(), "the connection is still open");
    let connections = &server.app.metrics.connections;
    eventually("no connection is left", || connections.get() == 0).await;
    assert_eq!(server.app.memory.free(), all);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_unload_a_model() {
    let server = serve(colours()).await;
    let attempt = |name: &'static str, value: &'static str| {
        let mut request = server.request("POST", "/v1/models/colours/unload", Body::empty());
        request.headers_mut().insert(name, value.parse().unwrap());
        server.send(request)
    };
    for (name, value) in [
        ("origin", "http://127.0.0.1:1"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("host", "rebound.example"),
    ] {
        let answer = attempt(name, value).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {answer:?}");
    }
    let entry = server.app.models.find(None).unwrap();
    assert!(entry.loaded().is_ok());
    let own = attempt("sec-fetch-site", "same-origin").await;
    assert_eq!(own.status, StatusCode::OK, "{own:?}");
}

#[tokio::test]
async fn no_method_leads_past_the_token_of_a_call() {
    let server = serve(Config {
        secrets: tokens("camera s3cret infer"),
        ..colours()
    })
    .await;
    for method in ["OPTIONS", "GET", "HEAD", "PUT", "POST"] {
        let path = "/inference.GRPCInferenceService/RepositoryModelUnload";
        let mut request = server.request(
            method,
            path,
            Body::from(&b"\0\0\0\0\x09\x0a\x07colours"[..]),
        );
        let kind = "application/grpc".parse().unwrap();
        request.headers_mut().insert("content-type", kind);
        let answer = server.send(request).await;
        assert_eq!(answer.header("grpc-status"), "16", "{method}: {answer:?}");
    }
    assert!(server.app.models.find(None).unwrap().loaded().is_ok());
}

#[tokio::test]
async fn a_client_that_leaves_ends_neither_what_was_begun_nor_its_count() {
    let server = serve(colours()).await;
    let all = server.app.memory.free();
    let entry = server.app.models.find(None).unwrap();
    let admission = &entry.loaded().unwrap().admission;
    let connections = &server.app.metrics.connections;
    // Large, so that decoding takes longer than it takes to see that the client is gone.
    let frame = Frame::filled(4000, 4000, [9; 3]).unwrap();
    let png = encode_png(&frame).unwrap();
    let mut went_on = false;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = head("/v1/detect", "image/png", png.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&png).await.unwrap();
        eventually("it is admitted", || admission.admitted() == 1).await;
        // Up to here it may still wait for memory and a thread.
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(stream);
        eventually("the connection is gone", || connections.get() == 0).await;
        went_on |= admission.admitted() == 1 && server.app.memory.free() <= all - png.len();
        eventually("nobody is admitted", || admission.admitted() == 0).await;
        eventually("all is given back", || server.app.memory.free() == all).await;
    }
    assert!(went_on, "nothing was counted without its client");
}

#[tokio::test]
async fn idle_connections_make_way_for_new_ones() {
    let server = serve_within(Limits {
        connections: MaxConnections {
            all: 8,
            per_address: 8,
        },
        ..Limits::default()
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    assert_eq!(server.get("/livez").await.status, StatusCode::OK);
    let connections = &server.app.metrics.connections;
    eventually("the bound holds", || connections.get() <= 8).await;
}

#[tokio::test]
async fn only_a_token_that_allows_it_goes_first() {
    let open = serve(colours()).await;
    let closed = serve(Config {
        secrets: tokens("a one infer\nb two infer high"),
        ..colours()
    })
    .await;
    for (server, token, status) in [
        (&open, None, 403),
        (&closed, Some("one"), 403),
        (&closed, Some("two"), 200),
    ] {
        let mut request = server.request("POST", "/v1/detect", Body::from(red_and_green()));
        let headers = request.headers_mut();
        headers.insert("x-priority", "high".parse().unwrap());
        if let Some(token) = token {
            headers.insert("x-api-key", token.parse().unwrap());
        }
        let answer = server.send(request).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    }
}

#[tokio::test]
async fn one_request_asks_for_no_larger_network_than_is_allowed() {
    let server = serve_within(Limits {
        image_size: 256,
        ..Limits::default()
    })
    .await;
    for (size, status) in [(256, 200), (288, 400)] {
        let path = format!("/v1/detect?imgsz={size}");
        let answer = server.post(&path, "image/png", red_and_green()).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    }
}
