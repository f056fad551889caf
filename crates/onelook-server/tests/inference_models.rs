//! Models in the Open Inference Protocol over HTTP: metadata, health, loading and unloading.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use axum::http::StatusCode;
use serde_json::{Value, json};
use support::{TestResponse, config, start, tiny};

fn error(answer: &TestResponse) -> String {
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn models_are_described_as_they_are() {
    let server = tiny().await;
    let metadata = server.get("/v2/models/tiny").await.json();
    assert_eq!(
        metadata["inputs"],
        json!([{"name": "images", "datatype": "FP32", "shape": [-1, 3, -1, -1]}])
    );
    assert_eq!(
        metadata["outputs"],
        json!([{"name": "output0", "datatype": "FP32", "shape": [-1, 6, -1]}])
    );
    let metadata = server.get("/v2/models/fixed/versions/1").await.json();
    assert_eq!(metadata["inputs"][0]["shape"], json!([-1, 3, 64, 64]));
    let config = server.get("/v2/models/fixed/config").await.json();
    assert_eq!(config["input"][0]["dims"], json!([3, 64, 64]));
    assert_eq!(config["input"][0]["data_type"], "TYPE_FP32");
    assert_eq!(config["max_batch_size"], 32);
    let words = config["parameters"]["metadata"]["string_value"].as_str();
    let names = r#"'names': {0: 'person', 1: 'l\'\\a "b" \U0000732b\U0000fffd{0}'}"#;
    assert!(words.unwrap().contains(names), "{words:?}");
    let server_itself = server.get("/v2").await.json();
    assert_eq!(server_itself["name"], "onelook");
    assert!(!server_itself.to_string().contains("shared_memory"));
}

#[tokio::test]
async fn unknown_models_versions_and_paths_are_not_found_in_the_form_of_the_protocol() {
    let server = tiny().await;
    for path in [
        "/v2/models/nope",
        "/v2/models/nope/ready",
        "/v2/models/nope/stats",
        "/v2/models/nope/config",
        "/v2/models/tiny/versions/2",
        "/v2/models/tiny/versions/x/ready",
        "/v2/models/..%2f..%2fetc%2fpasswd",
        "/v2/models/%00",
        "/v2/",
        "/v2/nonsense",
        "/v2/systemsharedmemory/status",
        "/v2/systemsharedmemory/region/a/register",
        "/v2/cudasharedmemory/status",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!error(&answer).is_empty());
        assert_eq!(answer.header("grpc-status"), "", "{path}");
    }
    assert_eq!(
        server.get("/v2/models/%ff").await.status,
        StatusCode::BAD_REQUEST
    );
    let register = "/v2/systemsharedmemory/region/a/register";
    let answer = server.post(register, "application/json", "{}").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let posted = server.post(
        "/v2/models/nope/infer",
        "application/json",
        vec![b' '; 1 << 20],
    );
    assert_eq!(posted.await.status, StatusCode::NOT_FOUND);
    let wrong_verb = server.get("/v2/repository/index").await;
    assert_eq!(wrong_verb.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(!error(&wrong_verb).is_empty());
}

#[tokio::test]
async fn the_index_shows_loaded_and_unloaded_models() {
    let server = tiny().await;
    let post = |path: &'static str, body: &'static str| server.post(path, "application/json", body);
    let state = |index: &Value, name: &str| {
        let mut entries = index.as_array().unwrap().iter();
        entries.find(|entry| entry["name"] == name).cloned()
    };
    let load = "/v2/repository/models/tiny/load";
    let unload = "/v2/repository/models/tiny/unload";
    assert_eq!(post(unload, "{}").await.status, StatusCode::OK);
    let list = post("/v2/repository/index", "[]").await;
    assert_eq!(list.status, StatusCode::BAD_REQUEST, "{list:?}");
    let index = post("/v2/repository/index", "").await.json();
    let gone = state(&index, "tiny").unwrap();
    assert_eq!(gone["state"], "UNAVAILABLE");
    assert_eq!(gone["reason"], "unloaded");
    let ready = post("/v2/repository/index", r#"{"ready":true}"#)
        .await
        .json();
    assert!(state(&ready, "tiny").is_none());
    let answer = post("/v2/models/tiny/infer", "{}").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        server.get("/v2/models/tiny/ready").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );

    assert_eq!(post(load, "").await.status, StatusCode::OK);
    let index = post("/v2/repository/index", "{}").await.json();
    let back = state(&index, "tiny").unwrap();
    assert_eq!(
        (&back["state"], &back["version"]),
        (&json!("READY"), &json!("1"))
    );
    let refused = post(load, r#"{"parameters":{"config":"{}"}}"#).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    for path in [
        "/v2/repository/models/nope/load",
        "/v2/repository/models/nope/unload",
    ] {
        assert_eq!(post(path, "{}").await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn the_server_is_not_ready_before_a_model_is() {
    let (server, _events) = start(config(&[("gone", "/nowhere/gone.pt".into())])).await;
    assert_eq!(
        server.get("/v2/health/live").await.json(),
        json!({"live": true})
    );
    let ready = server.get("/v2/health/ready").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json(), json!({"ready": false}));
    let server = tiny().await;
    assert_eq!(
        server.get("/v2/health/ready").await.json(),
        json!({"ready": true})
    );
    let model = server.get("/v2/models/tiny/ready").await.json();
    assert_eq!(model, json!({"name": "tiny", "ready": true}));
}
