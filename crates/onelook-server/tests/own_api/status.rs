//! Statistics and the OpenAPI document are correct.

use axum::body::Body;
use serde_json::json;

use crate::colours::{red_and_green, server};

#[tokio::test]
async fn statistics_count_requests_and_images() {
    let server = server().await;
    for _ in 0..3 {
        server
            .post("/v1/detect", "image/png", red_and_green())
            .await;
    }
    server.post("/v1/detect", "image/png", "nonsense").await;
    let status = server.get("/v1/status").await.json();
    assert_eq!(
        status["requests"],
        json!({"in_flight": 0, "total": 4, "failed": 1, "rejected": 0})
    );
    let model = &status["models"][0];
    assert_eq!(
        (&model["name"], &model["images"]),
        (&json!("colours"), &json!(3))
    );
    assert!(model["batches"].as_u64().unwrap() <= 3);
    for stage in ["decode", "queue", "preprocess", "inference", "postprocess"] {
        assert_eq!(model["stages"][stage]["count"], 3, "{stage}");
    }
    assert_eq!(
        model["stages"]["encode"],
        json!({"count": 0, "sum_ms": 0.0})
    );
    assert_eq!(status["ready"], true);
    assert!(status["host"]["process_memory_bytes"].as_u64().unwrap() > 1 << 20);
    let metrics = server.get("/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.contains("onelook_host{what=\"memory_total\"}"));
    assert!(
        metrics.contains("\nonelook_http_requests_in_flight 0\n"),
        "who reads the figures counts itself"
    );
}

#[tokio::test]
async fn the_last_two_minutes_have_rates_and_percentiles() {
    let server = server().await;
    server
        .post("/v1/detect", "image/png", red_and_green())
        .await;
    let samples_with_image = |history: &serde_json::Value| {
        let samples = history["samples"].as_array().unwrap().clone();
        samples
            .into_iter()
            .filter(|sample| sample["images"] == 1)
            .count()
    };
    let mut history = json!(null);
    for _ in 0..50 {
        history = server.get("/v1/status/history?model=colours").await.json();
        if samples_with_image(&history) > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(history["interval_s"], 1.0);
    assert!(samples_with_image(&history) > 0, "{history}");
    assert_eq!(history["latency"]["count"], 1);
    assert!(history["latency"]["p99_ms"].as_f64().unwrap() > 0.0);
    let last = history["samples"].as_array().unwrap().last().unwrap();
    let later = format!("/v1/status/history?after={}", last["uptime_s"]);
    let later = server.get(&later).await.json();
    assert!(later["samples"].as_array().unwrap().len() <= 1, "{later}");
    for (query, status) in [("model=nobody", 404), ("after=x", 400), ("before=1", 400)] {
        let answer = server.get(&format!("/v1/status/history?{query}")).await;
        assert_eq!(answer.status, status, "{query}");
    }
}

#[tokio::test]
async fn the_last_errors_have_their_reasons_and_no_queries() {
    let server = server().await;
    server
        .post("/v1/detect?conf=secret", "image/png", red_and_green())
        .await;
    server
        .post("/v1/detect", "image/png", red_and_green())
        .await;
    server.get("/v1/status/history?model=nobody").await;
    let status = server.get("/v1/status").await.json();
    let errors = status["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0]["path"], "/v1/detect");
    assert_eq!(errors[0]["status"], 400);
    assert!(!errors[0]["request_id"].as_str().unwrap().is_empty());
    assert!(errors[0]["detail"].as_str().unwrap().starts_with("conf"));
    assert_eq!(status["slow"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_type_of_every_problem_is_an_address() {
    let server = server().await;
    let refused = server.get("/v1/models/nobody").await.json();
    let kind = refused["type"].as_str().unwrap();
    let described = server.get(kind).await;
    assert_eq!(described.status, 200);
    assert_eq!(described.json()["status"], 404);
}

#[tokio::test]
async fn exactly_the_described_operations_exist() {
    let server = server().await;
    let api = server.get("/openapi.json").await;
    assert_eq!(api.header("content-type"), "application/json");
    let api = api.json();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut operations = 0;
    for (path, item) in api["paths"].as_object().unwrap() {
        let path = path.replace("{name}", "nobody");
        for method in ["get", "put", "post", "delete", "patch"] {
            let body = Body::from("x");
            let answer = server
                .send(server.request(&method.to_uppercase(), &path, body))
                .await;
            let status = answer.status.as_u16();
            let Some(described) = item.get(method) else {
                assert_eq!(status, 405, "{method} {path}");
                assert!(!answer.header("allow").is_empty(), "{method} {path}");
                continue;
            };
            operations += 1;
            assert_ne!(status, 405, "{method} {path}");
            let responses = &described["responses"];
            let kind = answer
                .header("content-type")
                .split(';')
                .next()
                .unwrap()
                .to_owned();
            let content = &responses[status.to_string()]["content"];
            assert!(
                content.get(&kind).is_some(),
                "{method} {path}: {status} {kind}"
            );
        }
    }
    assert!(operations >= 15, "{operations}");
}
