//! Models: described, loaded, replaced, unloaded, and found in a directory.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::StatusCode;
use onelook_server::Config;
use onelook_server::model_repository::{ModelEntry, ModelStateName};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::colours::{colours, model, red_and_green};
use crate::support::{TestServer, config, fixture, serve};

async fn act(server: &TestServer, name: &str, action: &str) -> crate::support::TestResponse {
    let path = format!("/v1/models/{name}/{action}");
    server
        .send(server.request("POST", &path, Body::empty()))
        .await
}

#[tokio::test]
async fn a_loaded_model_is_described_and_a_failed_one_has_its_error() {
    let models = [("colours", model()), ("gone", "/nowhere/gone.pt".into())];
    let server = serve(config(&models)).await;
    let list = server.get("/v1/models").await.json();
    let (first, gone) = (&list["models"][0], &list["models"][1]);
    for (key, value) in [
        ("name", json!("colours")),
        ("state", json!("ready")),
        ("error", json!(null)),
        ("version", json!(1)),
        ("default", json!(true)),
        ("task", json!("detect")),
        ("names", json!(["red", "green"])),
        ("classes", json!(2)),
        ("stride", json!(32)),
        ("image_size", json!([64, 64])),
        ("fixed_size", json!(false)),
        ("precision", json!("f32")),
        ("licence", json!("free")),
        ("queue", json!({"length": 0, "capacity": 128})),
    ] {
        assert_eq!(first[key], value, "{key}");
    }
    assert_eq!(gone["state"], "failed");
    assert!(gone["error"].as_str().unwrap().contains("gone.pt"));
    assert_eq!(gone["task"], json!(null));
    assert_eq!(&server.get("/v1/models/colours").await.json(), first);
    let refused = server
        .post("/v1/detect?model=gone", "image/png", red_and_green())
        .await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(act(&server, "gone", "load").await.status.as_u16(), 422);
    assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_model_is_unloaded_and_loaded_again() {
    let server = serve(colours()).await;
    assert_eq!(
        act(&server, "colours", "unload").await.json()["state"],
        "unloaded"
    );
    assert_eq!(server.get("/readyz").await.status.as_u16(), 503);
    let refused = server
        .post("/v1/detect", "image/png", red_and_green())
        .await;
    assert_eq!(refused.status.as_u16(), 503);
    let loaded = act(&server, "colours", "load").await.json();
    assert_eq!(
        (&loaded["state"], &loaded["version"]),
        (&json!("ready"), &json!(2))
    );
    assert_eq!(act(&server, "nobody", "unload").await.status.as_u16(), 404);
}

#[tokio::test]
async fn a_model_is_replaced_while_it_serves_without_a_failed_request() {
    let server = std::sync::Arc::new(serve(colours()).await);
    let (clients, load) = (4, 20);
    let stop = tokio_util::sync::CancellationToken::new();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let (server, stop) = (std::sync::Arc::clone(&server), stop.clone());
        asking.spawn(async move {
            let mut answered = 0;
            while !stop.is_cancelled() {
                let answer = server
                    .post("/v1/detect", "image/png", red_and_green())
                    .await;
                assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
                answered += 1;
            }
            answered
        });
    }
    for _ in 0..load {
        assert_eq!(act(&server, "colours", "load").await.status, StatusCode::OK);
    }
    stop.cancel();
    let answered: i32 = asking.join_all().await.into_iter().sum();
    assert!(answered >= clients);
    let card = server.get("/v1/models/colours").await.json();
    assert_eq!(card["version"], json!(1 + load));
}

#[tokio::test]
async fn new_files_in_the_model_directory_are_listed() {
    let directory = std::env::temp_dir().join(format!("onelook-own-api-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let only_a_directory = Config {
        models: Vec::new(),
        model_dir: Some(directory.clone()),
        ..colours()
    };
    let server = serve(only_a_directory).await;
    assert_eq!(server.get("/v1/models").await.json(), json!({"models": []}));
    let nobody = server
        .post("/v1/detect", "image/png", red_and_green())
        .await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    std::fs::copy(model(), directory.join("late.safetensors")).unwrap();
    let list = server.get("/v1/models").await.json();
    assert_eq!(list["models"][0]["state"], "unloaded");
    assert_eq!(act(&server, "late", "load").await.json()["state"], "ready");
    let answer = server
        .post("/v1/detect?model=late", "image/png", red_and_green())
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn a_load_goes_on_without_its_client_and_another_may_follow() {
    let path = std::env::temp_dir().join(format!("onelook-slow-{}.model", std::process::id()));
    std::fs::copy(fixture("tiny.model"), &path).unwrap();
    let server = serve(config(&[("slow", path.clone())])).await;
    let entry = server.app.models.find(None).unwrap();
    server
        .post("/v1/models/slow/unload", "text/plain", "")
        .await;
    // A pipe: loading waits until somebody has written.
    std::fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let asked = b"POST /v1/models/slow/load HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.write_all(asked).await.unwrap();
    wait_for(&entry, ModelStateName::Loading).await;
    drop(client);
    let connections = &server.app.metrics.connections;
    let patience = Instant::now() + Duration::from_secs(30);
    while connections.get() > 0 {
        assert!(Instant::now() < patience, "the connection is still open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(entry.state().name(), ModelStateName::Loading);
    drop(std::fs::File::options().write(true).open(&path).unwrap());
    wait_for(&entry, ModelStateName::Failed).await;
    std::fs::remove_file(&path).unwrap();
    std::fs::copy(fixture("tiny.model"), &path).unwrap();
    let again = server.post("/v1/models/slow/load", "text/plain", "").await;
    assert_eq!(again.json()["state"], "ready", "{again:?}");
    std::fs::remove_file(&path).unwrap();
}

async fn wait_for(entry: &ModelEntry, state: ModelStateName) {
    let patience = Instant::now() + Duration::from_secs(30);
    while entry.state().name() != state {
        assert!(Instant::now() < patience, "never {state:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
