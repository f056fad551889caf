//! Frames and events for those who watch.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use onelook_server::{DeliveryOptions, WebhookOptions};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::scripted::{add, card, server, until};
use crate::support::TestServer;

#[tokio::test]
async fn a_snapshot_is_a_jpeg_of_the_next_frame() {
    let (server, _) = server(|_| {}).await;
    add(&server, "a", json!({})).await;
    let shot = server.get("/v1/streams/a/snapshot.jpg").await;
    assert_eq!(shot.status, StatusCode::OK, "{shot:?}");
    assert_eq!(shot.header("content-type"), "image/jpeg");
    assert_eq!(shot.header("cache-control"), "no-store");
    let frame = onelook::media::decode(&shot.body, &onelook::media::Limits::default()).unwrap();
    assert_eq!((frame.width(), frame.height()), (64, 48));
    // Nobody watches any more: the frame is let go.
    let entry = server.app.streams.find("a").unwrap();
    assert!(!entry.is_watched());
    let gone = server.get("/v1/streams/b/snapshot.jpg").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn mjpeg_is_image_after_image_and_ends_with_the_stream() {
    let (server, _) = server(|config| config.limits.streams.viewers = 1).await;
    add(&server, "a", json!({})).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.unwrap();
    tokio::spawn(connection);
    let request = server.request("GET", "/v1/streams/a/mjpeg", Body::empty());
    let response = sender.send_request(request).await.unwrap();
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(kind, "multipart/x-mixed-replace; boundary=onelook-frame");
    let mut body = response.into_body();
    let mut text = Vec::new();
    while text.windows(2).filter(|pair| pair == b"\xff\xd8").count() < 3 {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        text.extend_from_slice(&data);
    }
    assert!(text.starts_with(b"--onelook-frame\r\nContent-Type: image/jpeg\r\nContent-Length: "));
    let second = server.get("/v1/streams/a/mjpeg").await;
    assert_eq!(second.status, StatusCode::SERVICE_UNAVAILABLE);
    let request = server.request("DELETE", "/v1/streams/a", Body::empty());
    server.send(request).await;
    while let Some(Ok(_)) = body.frame().await {}
}

#[tokio::test]
async fn a_silent_stream_sends_its_last_image_again_so_that_a_viewer_who_left_is_noticed() {
    let (server, script) = server(|config| config.limits.streams.viewers = 1).await;
    add(&server, "a", json!({})).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.unwrap();
    let connection = tokio::spawn(connection);
    let request = server.request("GET", "/v1/streams/a/mjpeg", Body::empty());
    let mut body = sender.send_request(request).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    script
        .frozen
        .store(true, std::sync::atomic::Ordering::SeqCst);
    // What was on its way, then the same image twice.
    let mut images = Vec::new();
    while images.len() < 2 || images[images.len() - 1] != images[images.len() - 2] {
        images.push(body.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    drop((body, sender));
    connection.abort();
    let entry = server.app.streams.find("a").unwrap();
    until(|| (!entry.is_watched()).then_some(())).await;
    script
        .frozen
        .store(false, std::sync::atomic::Ordering::SeqCst);
}

async fn open(server: &TestServer) -> tokio_tungstenite::WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let url = format!("ws://{}/v1/streams/live", server.address);
    let opened = tokio_tungstenite::client_async(url, stream).await;
    opened.unwrap().0
}

#[tokio::test]
async fn a_websocket_has_boxes_and_a_jpeg_for_each_frame() {
    let (server, _) = server(|_| {}).await;
    let line = json!({"name": "entrance", "start": [0.1, 0.5], "end": [0.9, 0.5]});
    add(&server, "a", json!({"lines": [line]})).await;
    add(&server, "b", json!({})).await;
    let mut socket = open(&server).await;
    let wanted = json!({"streams": ["a", "b", "nowhere"], "fps": 30}).to_string();
    socket.send(Message::text(wanted)).await.unwrap();
    let mut frames = [0, 0];
    while frames[0] < 3 || frames[1] < 3 {
        let text = socket.next().await.unwrap().unwrap();
        let Message::Text(text) = text else { continue };
        let told: Value = serde_json::from_str(&text).unwrap();
        if told["type"] != "frame" {
            continue;
        }
        assert_eq!([&told["width"], &told["height"]], [64, 48]);
        assert!(told["detections"].is_array() && told["counts"]["lines"].is_array());
        let Message::Binary(image) = socket.next().await.unwrap().unwrap() else {
            panic!("an image was expected");
        };
        assert_eq!(&image[..2], [0xff, 0xd8]);
        frames[usize::from(told["stream"] == "b")] += 1;
    }
    // What is no longer asked for is no longer kept.
    socket
        .send(Message::text(json!({"streams": ["b"]}).to_string()))
        .await
        .unwrap();
    let entry = server.app.streams.find("a").unwrap();
    until(|| (!entry.is_watched()).then_some(())).await;
    socket.send(Message::text("nonsense")).await.unwrap();
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) if text.contains("\"error\"") => break,
            _ => {}
        }
    }
    drop(socket);
    let entry = server.app.streams.find("b").unwrap();
    until(|| (!entry.is_watched()).then_some(())).await;
}

#[tokio::test]
async fn one_who_does_not_read_holds_nobody_up() {
    let (server, _) = server(|_| {}).await;
    add(&server, "a", json!({})).await;
    let mut socket = open(&server).await;
    let wanted = json!({"streams": ["a"], "fps": 30}).to_string();
    socket.send(Message::text(wanted)).await.unwrap();
    let entry = server.app.streams.find("a").unwrap();
    until(|| entry.is_watched().then_some(())).await;
    let before = card(&server, "a", |_| true).await["frames_run"]
        .as_u64()
        .unwrap();
    card(&server, "a", |card| {
        card["frames_run"].as_u64() > Some(before + 20)
    })
    .await;
}

#[tokio::test]
async fn events_are_listed_and_told_as_they_happen() {
    let (server, _) = server(|_| {}).await;
    add(&server, "a", json!({})).await;
    let entry = server.app.streams.find("a").unwrap();
    entry.record(json!({"place": "entrance", "event": "crossed"}), None, None);
    let list = server.get("/v1/streams/a/events").await.json();
    assert_eq!(list["events"][0]["place"], "entrance");
    let stream = TcpStream::connect(server.address).await.unwrap();
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.unwrap();
    tokio::spawn(connection);
    let path = "/v1/streams/a/events?kind=crossed";
    let mut request = server.request("GET", path, Body::empty());
    let accept = HeaderValue::from_static("text/event-stream");
    request.headers_mut().insert("accept", accept);
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    entry.record(json!({"place": "yard", "event": "entered"}), None, None);
    entry.record(json!({"place": "gate", "event": "crossed"}), None, None);
    let mut body = response.into_body();
    let data = tokio::time::timeout(Duration::from_secs(30), body.frame()).await;
    let data = data.unwrap().unwrap().unwrap().into_data().unwrap();
    let text = String::from_utf8(data.to_vec()).unwrap();
    assert!(
        text.starts_with("id: 3\ndata: {") && text.contains("\"gate\""),
        "{text}"
    );
}

#[tokio::test]
async fn events_go_to_the_webhook() {
    let receiver = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", receiver.local_addr().unwrap());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let route = axum::routing::post(async move |body: String| tell.send(body).unwrap());
    let router = axum::Router::new().route("/", route);
    tokio::spawn(async move { axum::serve(receiver, router).await });
    let spool = std::env::temp_dir().join(format!("onelook-events-{}", std::process::id()));
    let webhook = WebhookOptions { url, key: None };
    let delivery = DeliveryOptions {
        webhook: Some(webhook),
        spool: spool.clone(),
        max_spool_bytes: 1_000_000,
        ..DeliveryOptions::default()
    };
    let (server, _) = server(|config| config.delivery = delivery).await;
    add(&server, "a", json!({})).await;
    let entry = server.app.streams.find("a").unwrap();
    entry.record(json!({"event": "crossed"}), Some("bus".to_owned()), None);
    let event: Value = serde_json::from_str(&told.recv().await.unwrap()).unwrap();
    assert_eq!(
        (&event["event"], &event["stream"], &event["name"]),
        (&json!("crossed"), &json!("a"), &json!("bus"))
    );
    std::fs::remove_dir_all(&spool).unwrap();
}
