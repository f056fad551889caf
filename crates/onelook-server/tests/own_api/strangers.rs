//! What is told without a token, where tokens are needed: whether the server is ready, and nothing of
//! its models, files and errors.

use onelook_server::Config;
use serde_json::json;

use crate::colours::{FORM, form, model, red_and_green};
use crate::support::{TestServer, config, serve, tokens};

async fn server() -> TestServer {
    let models = [("colours", model()), ("gone", "/nowhere/gone.pt".into())];
    serve(Config {
        secrets: tokens("eye look read\ncamera shoot infer"),
        ..config(&models)
    })
    .await
}

#[tokio::test]
async fn open_paths_tell_no_models_files_and_versions() {
    let server = server().await;
    let ready = server.get("/readyz").await;
    assert_eq!(
        (ready.status.as_u16(), ready.json()),
        (200, json!({"ready": true}))
    );
    for path in [
        "/",
        "/livez",
        "/readyz",
        "/docs",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/health/gone",
        "/ui/gone",
        "/v2",
        "/openapi.json",
        "/metrics",
        "/v1/models/gone",
        "/v2/models/gone/ready",
        "/nowhere",
    ] {
        let answer = server.get(path).await;
        let text = String::from_utf8_lossy(&answer.body);
        for word in ["colours", "/nowhere/gone.pt", env!("CARGO_PKG_VERSION")] {
            assert!(!text.contains(word), "{path} tells {word}: {text}");
        }
    }
    let mut request = server.request("GET", "/readyz", axum::body::Body::empty());
    request
        .headers_mut()
        .insert("x-api-key", "look".parse().unwrap());
    let known = server.send(request).await.json();
    assert_eq!(known["models"][1]["name"], "gone");
    assert!(
        known["models"][1]["error"]
            .as_str()
            .unwrap()
            .contains("gone.pt")
    );
}

#[tokio::test]
async fn the_token_of_a_form_is_judged_before_the_model_is() {
    let server = server().await;
    let png = red_and_green();
    for name in ["colours", "gone", "nobody"] {
        let path = format!("/v1/vision/custom/{name}");
        let body = form(&[("api_key", "guess")], &[("image;a.png", &png)]);
        let answer = server.post(&path, FORM, body).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status.as_u16(), 401, "{name}: {text}");
        assert!(!text.contains("colours"), "{text}");
        let body = form(&[("api_key", "shoot")], &[("image;a.png", &png)]);
        let answer = server.post(&path, FORM, body).await;
        let expected = match name {
            "colours" => 200,
            "gone" => 503,
            _ => 404,
        };
        assert_eq!(answer.status.as_u16(), expected, "{name}");
    }
}
