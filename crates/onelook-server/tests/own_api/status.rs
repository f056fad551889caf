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
        json!({"in_flight": 1, "total": 4, "failed": 1, "rejected": 0})
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
