//! What strangers, other sites' pages and small tokens may do with streams.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::scripted::{add, server};
use crate::support::tokens;

#[tokio::test]
async fn only_streams_of_named_hosts_can_be_added() {
    let (server, script) = server(|_| {}).await;
    for url in [
        "rtsp://elsewhere.lan/1",
        "rtsp://127.0.0.1/1",
        "file:///etc/passwd",
        "/etc/passwd",
        "0",
        "http://169.254.169.254/latest?@cam.lan",
    ] {
        let refused = add(&server, "a", json!({"url": url})).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{url}: {refused:?}");
    }
    for body in [
        "",
        "{}",
        "[]",
        "{\"name\": \"a\", \"url\": 7}",
        "{\"name\": \"a\", \"url\": \"rtsp://cam.lan/\", \"x\": 1}",
    ] {
        let refused = server.post("/v1/streams", "application/json", body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
    }
    assert!(script.opened.lock().unwrap().is_empty());
    assert_eq!(server.get("/v1/streams").await.json()["streams"], json!([]));
}

#[tokio::test]
async fn images_need_more_than_reading_and_changes_an_administrator() {
    let lines = "reader r3ad read\ncamera 1nfer infer\nroot r00t admin";
    let (server, _) = server(|config| config.secrets = tokens(lines)).await;
    let status = async |method: &str, path: &str, token: &str| {
        let mut request = server.request(method, path, Body::from("{}"));
        if !token.is_empty() {
            let value: HeaderValue = format!("Bearer {token}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        server.send(request).await.status.as_u16()
    };
    for (method, path, expected) in [
        ("GET", "/v1/streams", [401, 200, 200, 200]),
        ("GET", "/v1/streams/a", [401, 404, 404, 404]),
        ("GET", "/v1/streams/a/events", [401, 404, 404, 404]),
        ("GET", "/v1/streams/a/snapshot.jpg", [401, 403, 404, 404]),
        ("GET", "/v1/streams/a/mjpeg", [401, 403, 404, 404]),
        ("GET", "/v1/streams/live", [401, 403, 400, 400]),
        ("POST", "/v1/streams", [401, 403, 403, 400]),
        ("PATCH", "/v1/streams/a", [401, 403, 403, 404]),
        ("DELETE", "/v1/streams/a", [401, 403, 403, 404]),
    ] {
        let mut found = Vec::new();
        for token in ["", "r3ad", "1nfer", "r00t"] {
            found.push(status(method, path, token).await);
        }
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_opens_no_websocket() {
    let (server, _) = server(|_| {}).await;
    let status = async |origin: &str| {
        let mut request = server.request("GET", "/v1/streams/live", Body::empty());
        for (name, value) in [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("origin", origin),
        ] {
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().insert(name, value);
        }
        server.send(request).await.status
    };
    assert_eq!(status("http://evil.example").await, StatusCode::FORBIDDEN);
    let own = format!("http://{}", server.address);
    assert_eq!(status(&own).await, StatusCode::SWITCHING_PROTOCOLS);
}

#[tokio::test]
async fn a_page_of_another_site_shows_no_image_of_a_camera() {
    let (server, _) = server(|_| {}).await;
    add(&server, "a", json!({"heatmap": {}})).await;
    let own = format!("http://{}", server.address);
    for path in [
        "snapshot.jpg",
        "mjpeg",
        "heatmap.png",
        "events/1/snapshot.jpg",
        "events",
        "history",
    ] {
        let status = async |headers: &[(&'static str, &str)]| {
            // Its head is enough: an MJPEG has no end.
            let path = format!("/v1/streams/a/{path}");
            let mut request = server.request("HEAD", &path, Body::empty());
            for (name, value) in headers {
                let value = HeaderValue::from_str(value).unwrap();
                request.headers_mut().insert(*name, value);
            }
            server.send(request).await.status
        };
        for foreign in [
            [
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "no-cors"),
            ],
            [
                ("sec-fetch-site", "same-site"),
                ("sec-fetch-mode", "no-cors"),
            ],
            [("origin", "http://evil.example"), ("accept", "*/*")],
            [("origin", "null"), ("accept", "*/*")],
        ] {
            assert_eq!(
                status(&foreign).await,
                StatusCode::FORBIDDEN,
                "{path} {foreign:?}"
            );
        }
        for native in [
            [("sec-fetch-site", "same-origin")],
            [("origin", own.as_str())],
        ] {
            assert_ne!(
                status(&native).await,
                StatusCode::FORBIDDEN,
                "{path} {native:?}"
            );
        }
    }
}

#[tokio::test]
async fn one_client_cannot_take_all_places_of_those_who_watch() {
    let (server, _) = server(|config| config.limits.streams.viewers = 4).await;
    let streams = &server.app.streams;
    let [one, other] = ["one", "other"].map(std::sync::Arc::<str>::from);
    let first = streams.viewer(&one).ok().unwrap();
    let _second = streams.viewer(&one).ok().unwrap();
    assert!(streams.viewer(&one).is_err());
    let _third = streams.viewer(&other).ok().unwrap();
    drop(first);
    assert!(streams.viewer(&one).is_ok());
}

#[tokio::test]
async fn whoever_watches_is_let_go_when_other_tokens_hold() {
    let (server, _) = server(|_| {}).await;
    let watching = server.app.streams.closing();
    server.app.set_tokens((*server.app.tokens()).clone());
    assert!(!watching.is_cancelled(), "the same tokens");
    server
        .app
        .set_tokens(onelook_server::Tokens::parse("secret").unwrap());
    assert!(watching.is_cancelled());
    assert!(!server.app.streams.closing().is_cancelled());
}
