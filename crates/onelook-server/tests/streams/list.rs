//! Adding, changing, removing; the operator's file; the model's comings and goings.

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::scripted::{add, card, server, until};
use crate::support::TestServer;

async fn patch(server: &TestServer, name: &str, settings: Value) -> Value {
    let body = Body::from(settings.to_string());
    let request = server.request("PATCH", &format!("/v1/streams/{name}"), body);
    let response = server.send(request).await;
    assert_eq!(response.status, StatusCode::OK, "{response:?}");
    response.json()
}

async fn delete(server: &TestServer, name: &str) -> StatusCode {
    let request = server.request("DELETE", &format!("/v1/streams/{name}"), Body::empty());
    server.send(request).await.status
}

#[tokio::test]
async fn a_stream_runs_until_it_is_removed_and_no_other_is_touched() {
    let (server, script) = server(|_| {}).await;
    for name in ["a", "b"] {
        let added = add(&server, name, json!({})).await;
        assert_eq!(added.status, StatusCode::CREATED, "{added:?}");
        assert_eq!(added.json()["url"], format!("rtsp://***@cam.lan/{name}"));
    }
    let runs = |card: &Value| card["state"] == "running" && card["frames_run"].as_u64() > Some(3);
    let shown = card(&server, "a", runs).await;
    assert_eq!([&shown["width"], &shown["height"]], [64, 48]);
    assert!(
        shown["age_ms"].as_f64() >= Some(0.0) && shown["attempts"] == 1,
        "{shown}"
    );
    card(&server, "b", runs).await;
    let twice = add(&server, "a", json!({})).await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
    assert_eq!(delete(&server, "a").await, StatusCode::NO_CONTENT);
    script.wait_alive(1).await;
    let list = server.get("/v1/streams").await.json();
    assert_eq!(list["streams"].as_array().unwrap().len(), 1);
    assert_eq!(card(&server, "b", runs).await["attempts"], 1);
    assert_eq!(delete(&server, "a").await, StatusCode::NOT_FOUND);
    drop(server);
    script.wait_alive(0).await;
}

#[tokio::test]
async fn a_stream_that_fails_says_why_and_the_others_go_on() {
    let (server, _) = server(|_| {}).await;
    add(&server, "refused", json!({})).await;
    add(&server, "good", json!({})).await;
    let refused = card(&server, "refused", |card| card["state"] == "refused").await;
    let error = refused["error"].as_str().unwrap();
    assert!(
        error.contains("401") && !error.contains("s3cret"),
        "{error}"
    );
    card(&server, "good", |card| {
        card["frames_run"].as_u64() > Some(3)
    })
    .await;
    add(&server, "short", json!({})).await;
    let ended = card(&server, "short", |card| card["state"] == "ended").await;
    assert_eq!(ended["error"], Value::Null);
    let metrics = server.get("/metrics").await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(
        text.contains("onelook_stream_state{state=\"ended\",stream=\"short\"} 1"),
        "{text}"
    );
    assert!(!text.contains("s3cret") && text.contains("onelook_stream_failures_total"));
}

#[tokio::test]
async fn settings_change_without_another_connection() {
    let (server, script) = server(|_| {}).await;
    let line = json!({"name": "entrance", "start": [0.1, 0.5], "end": [0.9, 0.5]});
    add(&server, "a", json!({"lines": [line]})).await;
    card(&server, "a", |card| {
        card["counts"]["lines"][0]["name"] == "entrance"
    })
    .await;
    let zone = json!({"name": "yard", "corners": [[0, 0], [1, 0], [1, 1]]});
    let changed = patch(
        &server,
        "a",
        json!({"fps": 2, "zones": [zone], "confidence": 0.5}),
    )
    .await;
    assert_eq!([&changed["max_fps"], &changed["confidence"]], [2.0, 0.5]);
    let both = |card: &Value| {
        card["counts"]["zones"][0]["name"] == "yard"
            && card["counts"]["lines"][0]["name"] == "entrance"
    };
    card(&server, "a", both).await;
    let over = |card: &Value| card["drops"]["over_rate"].as_u64() > Some(0);
    assert_eq!(card(&server, "a", over).await["attempts"], 1);
    patch(&server, "a", json!({"lines": null, "zones": []})).await;
    card(&server, "a", |card| {
        card["counts"] == json!({"lines": [], "zones": []})
    })
    .await;
    // Another model's thread takes over.
    patch(&server, "a", json!({"model": "other", "fps": null})).await;
    until(|| (script.opened.lock().unwrap().len() == 2).then_some(())).await;
    card(&server, "a", |card| card["frames_run"].as_u64() > Some(0)).await;
    script.wait_alive(1).await;
}

#[tokio::test]
async fn a_stream_that_is_removed_while_its_model_changes_stays_removed() {
    let (server, script) = server(|_| {}).await;
    for round in 0..40 {
        assert_eq!(
            add(&server, "a", json!({})).await.status,
            StatusCode::CREATED
        );
        let app = &server.app;
        let start = std::sync::Barrier::new(2);
        let removed = std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                let model = if round % 2 == 0 { "other" } else { "tiny" };
                // It may come too late.
                let _ = app.streams.change("a", &json!({"model": model}));
            });
            let removal = scope.spawn(|| {
                start.wait();
                app.streams.remove("a").is_ok()
            });
            removal.join().unwrap()
        });
        assert!(removed && app.streams.find("a").is_err(), "round {round}");
    }
    script.wait_alive(0).await;
}

#[tokio::test]
async fn streams_wait_for_a_model_that_is_unloaded() {
    let (server, script) = server(|_| {}).await;
    add(&server, "a", json!({})).await;
    card(&server, "a", |card| card["state"] == "running").await;
    server
        .post("/v1/models/tiny/unload", "text/plain", "")
        .await;
    let waiting = card(&server, "a", |card| card["state"] == "waiting").await;
    assert_eq!(waiting["error"], "model 'tiny' is not loaded");
    script.wait_alive(0).await;
    server.post("/v1/models/tiny/load", "text/plain", "").await;
    card(&server, "a", |card| card["state"] == "running").await;
    // A newer version takes over without another connection.
    let opened = script.opened.lock().unwrap().len();
    server.post("/v1/models/tiny/load", "text/plain", "").await;
    let before = card(&server, "a", |_| true).await["frames_run"].as_u64();
    card(&server, "a", |card| card["frames_run"].as_u64() > before).await;
    assert_eq!(script.opened.lock().unwrap().len(), opened);
}

#[tokio::test]
async fn there_are_no_more_streams_than_allowed() {
    let (server, _) = server(|config| config.limits.streams.streams = 1).await;
    assert_eq!(
        add(&server, "a", json!({})).await.status,
        StatusCode::CREATED
    );
    let refused = add(&server, "b", json!({})).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("--max-streams")
    );
}

#[tokio::test]
async fn the_operators_file_is_followed() {
    let path = std::env::temp_dir().join(format!("onelook-streams-{}.toml", std::process::id()));
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("[[streams]]\nname = 'a'\nurl = '/nowhere/a.mp4'\n");
    let own = path.clone();
    let (server, script) = server(move |config| config.stream_file = Some(own)).await;
    let shown = card(&server, "a", |_| true).await;
    assert_eq!(shown["origin"], "file");
    assert_eq!(delete(&server, "a").await, StatusCode::FORBIDDEN);
    write(
        "[[streams]]\nname = 'b'\nurl = 'rtsp://x/b'\n[[streams]]\nname = 'c'\nurl = 'rtsp://x/c'\n",
    );
    card(&server, "b", |card| card["state"] == "running").await;
    card(&server, "c", |card| card["state"] == "running").await;
    assert_eq!(
        server.get("/v1/streams/a").await.status,
        StatusCode::NOT_FOUND
    );
    // What cannot be used changes nothing.
    write("[[streams]]\nname = 'b'\nfps = 1\n");
    write("[[streams]]\nname = 'c'\nurl = 'rtsp://x/c'\nfps = 3\n");
    card(&server, "c", |card| card["max_fps"] == 3.0).await;
    let opened = script.opened.lock().unwrap().clone();
    let of_c = opened.iter().filter(|url| url.ends_with("/c")).count();
    assert_eq!(of_c, 1, "{opened:?}");
    std::fs::remove_file(&path).unwrap();
}
