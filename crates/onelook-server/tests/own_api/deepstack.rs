//! DeepStack's protocol as its clients use it.

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use onelook_server::Config;
use serde_json::json;

use crate::colours::{FORM, colours, form, red_and_green, server};
use crate::support::{TestServer, serve, tokens};

const DETECTION: &str = "/v1/vision/detection";

#[tokio::test]
async fn boxes_are_in_whole_pixels_highest_confidence_first() {
    let server = server().await;
    let body = form(
        &[("min_confidence", "0.6"), ("unknown", "x")],
        &[("image;a.png", &red_and_green())],
    );
    for path in [DETECTION, "/v1/vision/custom/colours"] {
        let answer = server.post(path, FORM, body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let mut answer = answer.json();
        for found in answer["predictions"].as_array_mut().unwrap() {
            assert!(found["confidence"].take().as_f64().unwrap() > 0.9);
        }
        let found = |label: &str, min: u32, max: u32| json!({"label": label, "confidence": null, "x_min": min, "y_min": min, "x_max": max, "y_max": max});
        assert_eq!(
            answer["predictions"],
            json!([found("red", 0, 32), found("green", 32, 64)])
        );
        for (key, value) in [
            ("success", json!(true)),
            ("code", json!(200)),
            ("count", json!(2)),
            ("message", json!("Found red, green")),
            ("command", json!("detect")),
            ("moduleId", json!("colours")),
            ("inferenceDevice", json!("CPU")),
        ] {
            assert_eq!(answer[key], value, "{key}");
        }
        for key in [
            "duration",
            "inferenceMs",
            "processMs",
            "analysisRoundTripMs",
        ] {
            assert!(answer[key].as_f64().is_some(), "{key}");
        }
    }
}

#[tokio::test]
async fn errors_have_the_form_of_the_protocol() {
    let server = server().await;
    let png = red_and_green();
    for (path, kind, body, status) in [
        (DETECTION, FORM, form(&[], &[]), 400),
        (
            DETECTION,
            FORM,
            form(&[("min_confidence", "40")], &[("image;a.png", &png)]),
            400,
        ),
        (
            DETECTION,
            FORM,
            form(&[], &[("image;a.png", b"nonsense")]),
            400,
        ),
        (
            DETECTION,
            FORM,
            form(
                &[("api_key", "a"), ("api_key", "a")],
                &[("image;a.png", &png)],
            ),
            400,
        ),
        (DETECTION, "image/png", png.clone(), 415),
        (
            "/v1/vision/custom/nobody",
            FORM,
            form(&[], &[("image;a.png", &png)]),
            404,
        ),
        (
            "/v1/vision/face",
            FORM,
            form(&[], &[("image;a.png", &png)]),
            404,
        ),
    ] {
        let answer = server.post(path, kind, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {kind}");
        let answer = answer.json();
        assert_eq!(
            (&answer["success"], &answer["code"]),
            (&json!(false), &json!(status))
        );
        assert!(!answer["error"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn models_are_listed_and_ping_works() {
    let server = server().await;
    let list = json!({"success": true, "models": ["colours"]});
    assert_eq!(server.get("/v1/vision/custom/list").await.json(), list);
    assert_eq!(
        server
            .post("/v1/vision/custom/list", FORM, form(&[], &[]))
            .await
            .json(),
        list
    );
    let bare = server
        .post("/v1/vision/custom/list", "text/plain", "")
        .await;
    assert_eq!(bare.json(), list);
    let pong = json!({"success": true});
    assert_eq!(server.get("/v1/status/ping").await.json(), pong);
    assert_eq!(
        server
            .post("/v1/status/ping", "text/plain", "")
            .await
            .json(),
        pong
    );
}

/// `POST` of a form with these headers besides.
async fn post_with(server: &TestServer, headers: &[(&'static str, &str)], body: Bytes) -> u16 {
    let mut request = server.request("POST", DETECTION, Body::from(body));
    for (name, value) in [("content-type", FORM)].iter().chain(headers) {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    server.send(request).await.status.as_u16()
}

#[tokio::test]
async fn the_token_of_a_form_may_allow_the_high_priority() {
    let server = serve(Config {
        secrets: tokens("a one infer\nb two infer high"),
        ..colours()
    })
    .await;
    let open = serve(colours()).await;
    let png = red_and_green();
    let high = [("x-priority", "high")];
    for (server, fields, status) in [
        (&server, &[][..], 401),
        (&server, &[("api_key", "one")][..], 403),
        (&server, &[("api_key", "two")][..], 200),
        (&open, &[("api_key", "two")][..], 403),
    ] {
        let body = form(fields, &[("image;a.png", &png)]);
        assert_eq!(post_with(server, &high, body).await, status, "{fields:?}");
    }
}

#[tokio::test]
async fn the_token_of_a_compressed_form_is_found_where_it_comes_early() {
    use std::io::Write;
    let server = serve(Config {
        secrets: tokens("a one infer"),
        ..colours()
    })
    .await;
    let png = [&red_and_green()[..], &[0; 64 << 10]].concat();
    let late = "x".repeat(5 << 10);
    for (fields, status) in [
        (&[][..], 401),
        (&[("api_key", "wrong")][..], 401),
        (&[("api_key", "one")][..], 200),
        (&[("name", late.as_str()), ("api_key", "one")][..], 401),
    ] {
        let body = form(fields, &[("image;a.png", &png)]);
        let level = flate2::Compression::fast();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
        gzip.write_all(&body).unwrap();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
        zlib.write_all(&body).unwrap();
        for (name, body) in [
            ("gzip", gzip.finish().unwrap()),
            ("deflate", zlib.finish().unwrap()),
        ] {
            let encoding = [("content-encoding", name)];
            let answer = post_with(&server, &encoding, body.into()).await;
            assert_eq!(answer, status, "{name}: {} fields", fields.len());
        }
    }
}

#[tokio::test]
async fn the_token_may_be_in_the_form() {
    let server = serve(Config {
        secrets: tokens("eye look read\ncamera shoot infer"),
        ..colours()
    })
    .await;
    let png = red_and_green();
    for (fields, status) in [
        (&[][..], 401),
        (&[("api_key", "nonsense")][..], 401),
        (&[("api_key", "look")][..], 403),
        (&[("api_key", "shoot")][..], 200),
    ] {
        let body = form(fields, &[("image;a.png", &png)]);
        let answer = server.post(DETECTION, FORM, body).await;
        assert_eq!(answer.status.as_u16(), status, "{fields:?}");
        let list = server
            .post("/v1/vision/custom/list", FORM, form(fields, &[]))
            .await;
        assert_eq!(list.status.as_u16(), status, "{fields:?}");
    }
    assert_eq!(
        server.get("/v1/vision/custom/list").await.status.as_u16(),
        401
    );
}
