//! Valid requests to `/v1/detect`.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use onelook::media::{Limits, decode, encode_jpeg};
use onelook_server::Config;
use serde_json::{Value, json};

use crate::colours::{FORM, GREEN, RED, colours, form, image, red_and_green, server};
use crate::support::{TestResponse, TestServer, another_client, serve};

/// Labels and boxes of the first image.
fn seen(answer: &TestResponse) -> Vec<(String, [i64; 4])> {
    seen_at(answer, 0)
}

fn seen_at(answer: &TestResponse, index: usize) -> Vec<(String, [i64; 4])> {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let answer = answer.json();
    let detections = answer["images"][index]["detections"].as_array().unwrap();
    let corner = |found: &Value, key: &str| found["box"][key].as_f64().unwrap().round() as i64;
    let all = detections.iter().map(|found| {
        let name = found["name"].as_str().unwrap().to_owned();
        (name, ["x1", "y1", "x2", "y2"].map(|key| corner(found, key)))
    });
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

fn both() -> Vec<(String, [i64; 4])> {
    vec![
        ("green".to_owned(), [32, 32, 64, 64]),
        ("red".to_owned(), [0, 0, 32, 32]),
    ]
}

async fn accepting(server: &TestServer, accept: &str, body: impl Into<Body>) -> TestResponse {
    let mut request = server.request("POST", "/v1/detect?show_labels=false", body.into());
    let headers = request.headers_mut();
    headers.insert("content-type", "image/png".parse().unwrap());
    headers.insert("accept", accept.parse().unwrap());
    server.send(request).await
}

#[tokio::test]
async fn an_image_in_any_body_format_gives_the_same_boxes() {
    let server = server().await;
    let png = red_and_green();
    for kind in ["image/png", "image/jpeg", "application/octet-stream"] {
        let answer = server.post("/v1/detect", kind, png.clone()).await;
        assert_eq!(seen(&answer), both(), "{kind}");
    }
    let body = form(&[], &[("image;a.png", &png)]);
    assert_eq!(seen(&server.post("/v1/detect", FORM, body).await), both());
    let text = STANDARD.encode(&png);
    for body in [
        json!({"image": {"base64": text}}),
        json!({"images": [{"base64": format!("data:image/png;base64,{text}")}]}),
    ] {
        let answer = server.post("/v1/detect", "application/json", body.to_string());
        assert_eq!(seen(&answer.await), both());
    }
}

#[tokio::test]
async fn the_response_has_the_form_that_predict_prints() {
    let server = server().await;
    let mut request = server.request("POST", "/v1/detect", Body::from(red_and_green()));
    let id = "my-id.1".parse().unwrap();
    request.headers_mut().insert("x-request-id", id);
    let answer = server.send(request).await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-request-id"), "my-id.1");
    let mut answer = answer.json();
    let speed = answer["images"][0]["speed_ms"].take();
    for stage in ["decode", "queue", "preprocess", "inference", "postprocess"] {
        assert!(speed[stage].as_f64().unwrap() >= 0.0, "{stage}");
    }
    for found in answer["images"][0]["detections"].as_array_mut().unwrap() {
        assert!(found["confidence"].take().as_f64().unwrap() > 0.99);
    }
    let detection = |name: &str, class: usize, from: f64, to: f64| {
        json!({"name": name, "class": class, "confidence": null,
               "box": {"x1": from, "y1": from, "x2": to, "y2": to}})
    };
    let expected = json!({
        "model": "colours",
        "request_id": "my-id.1",
        "images": [{
            "name": "image",
            "width": 64,
            "height": 64,
            "detections": [detection("red", 0, 0.0, 32.0), detection("green", 1, 32.0, 64.0)],
            "speed_ms": null,
        }],
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn parameters_work_in_query_form_and_json() {
    let server = server().await;
    let png = red_and_green();
    let red = &both()[1..];
    for query in [
        "classes=0",
        "classes=red",
        "classes=[0]",
        "max_det=1",
        "model=colours.pt&classes=Red",
    ] {
        let answer = server
            .post(&format!("/v1/detect?{query}"), "image/png", png.clone())
            .await;
        assert_eq!(seen(&answer), red, "{query}");
    }
    let body = form(
        &[("classes", "red"), ("conf", "0.5")],
        &[("files;a.png", &png)],
    );
    assert_eq!(seen(&server.post("/v1/detect", FORM, body).await), red);
    let body = json!({"image": {"base64": STANDARD.encode(&png)}, "classes": [0], "imgsz": [64, 64],
                      "rect": true, "iou": 0.5, "agnostic_nms": true, "max_det": 5, "line_width": 2});
    let answer = server
        .post("/v1/detect", "application/json", body.to_string())
        .await;
    assert_eq!(seen(&answer), red);
    let none = server.post("/v1/detect?conf=1", "image/png", png).await;
    assert_eq!(seen(&none), []);
}

#[tokio::test]
async fn images_keep_their_order_and_their_names_and_one_may_fail() {
    let server = server().await;
    let (red, green) = (image([RED; 4]), image([GREEN; 4]));
    let body = form(
        &[],
        &[
            ("images;red.png", &red),
            ("images;bad.png", b"nonsense"),
            ("images;green.png", &green),
        ],
    );
    let answer = server.post("/v1/detect", FORM, body).await;
    assert_eq!(seen_at(&answer, 0).len(), 4);
    assert_eq!(seen_at(&answer, 2)[0].0, "green");
    let answer = answer.json();
    let names: Vec<&str> = answer["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["red.png", "bad.png", "green.png"]);
    let error = &answer["images"][1]["error"];
    assert_eq!(
        (&error["status"], &error["type"]),
        (&json!(415), &json!("/problems/unsupported"))
    );
    assert_eq!(answer["images"][1].get("detections"), None);
}

#[tokio::test]
async fn many_images_at_once_give_what_each_gives_alone() {
    let server = server().await;
    let cells = |index: usize| {
        std::array::from_fn(|cell| match (index >> cell) & 1 {
            1 => [255, (index * 9) as u8, 0],
            _ => [(index * 5) as u8, 250, 3],
        })
    };
    let images: Vec<_> = (0..16).map(|index| image(cells(index))).collect();
    let files: Vec<(&str, &[u8])> = images
        .iter()
        .map(|image| ("images;x.png", &image[..]))
        .collect();
    let together = server
        .post("/v1/detect?conf=0.01", FORM, form(&[], &files))
        .await
        .json();
    for (index, image) in images.iter().enumerate() {
        let alone = server
            .post("/v1/detect?conf=0.01", "image/png", image.clone())
            .await
            .json();
        assert_eq!(
            together["images"][index]["detections"], alone["images"][0]["detections"],
            "{index}"
        );
    }
}

#[tokio::test]
async fn a_jpeg_without_its_end_marker_gives_its_boxes_and_a_warning() {
    let server = server().await;
    let frame = decode(&red_and_green(), &Limits::default()).unwrap();
    let whole = encode_jpeg(&frame, 95).unwrap();
    let cut = whole[..whole.len() - 2].to_vec();
    let complete = server.post("/v1/detect", "image/jpeg", whole).await;
    let answer = server.post("/v1/detect", "image/jpeg", cut.clone()).await;
    assert_eq!((seen(&answer), seen(&complete)), (both(), both()));
    let warnings = |answer: &TestResponse| answer.json()["images"][0]["warnings"].clone();
    assert_eq!(warnings(&complete), Value::Null);
    let warning = warnings(&answer)[0].as_str().unwrap().to_owned();
    assert!(warning.contains("lacks its end"), "{warning}");
    let body = form(&[], &[("image;a.jpg", &cut)]);
    let answer = server.post("/v1/vision/detection", FORM, body).await;
    assert_eq!(answer.json()["count"], 2, "{answer:?}");
}

#[tokio::test]
async fn requests_with_different_thresholds_share_a_batch() {
    let queries = ["conf=0.01", "classes=0", "max_det=1", "conf=1"];
    let server = serve(Config {
        max_batch: Some(queries.len()),
        // Long enough to be sure; a batch that is full does not wait.
        max_delay: Duration::from_secs(10),
        ..colours()
    })
    .await;
    let detect = async |query: &str| {
        let path = format!("/v1/detect?{query}");
        seen(&server.post(&path, "image/png", red_and_green()).await)
    };
    let mut alone = Vec::new();
    for query in queries {
        alone.push(detect(query).await);
    }
    assert_eq!(alone.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 0]);
    // A run waits for a full batch as long as another request is admitted.
    let entry = server.app.models.find(None).unwrap();
    let loaded = entry.loaded().unwrap();
    let another = loaded.admission.admit(&another_client()).await;
    assert_eq!(join_all(queries.map(detect)).await, alone);
    drop(another);
    let batches = entry.statistics.snapshot();
    assert_eq!(batches.batches[&queries.len()].infer.count, 1);
}

#[tokio::test]
async fn the_annotated_image_is_sent_if_the_client_accepts_images() {
    let server = server().await;
    for (accept, kind) in [
        ("image/png", "image/png"),
        ("image/*;q=0.9, text/html", "image/jpeg"),
    ] {
        let answer = accepting(&server, accept, red_and_green()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("content-type"), kind);
        let frame = decode(&answer.body, &Limits::default()).unwrap();
        assert_eq!((frame.width(), frame.height()), (64, 64));
    }
    let answer = accepting(&server, "image/png", red_and_green()).await;
    let frame = decode(&answer.body, &Limits::default()).unwrap();
    assert_ne!(frame.row(31)[..3], RED, "the line of the red square's box");
    let json = accepting(&server, "*/*", red_and_green()).await;
    assert_eq!(json.header("content-type"), "application/json");
    let figures = server.get("/v1/status").await.json();
    assert_eq!(figures["models"][0]["stages"]["encode"]["count"], 3);
}

#[tokio::test]
async fn one_image_cannot_be_the_response_for_two_and_what_else_is_accepted_is() {
    let server = server().await;
    let png = red_and_green();
    for (accept, kind) in [
        ("image/png", None),
        ("image/png, application/zip", Some("application/zip")),
        ("image/*, */*;q=0.1", Some("application/json")),
    ] {
        let body = form(&[], &[("images;a.png", &png), ("images;b.png", &png)]);
        let mut request = server.request("POST", "/v1/detect", Body::from(body));
        let headers = request.headers_mut();
        headers.insert("content-type", FORM.parse().unwrap());
        headers.insert("accept", accept.parse().unwrap());
        let answer = server.send(request).await;
        match kind {
            Some(kind) => assert_eq!(answer.header("content-type"), kind, "{accept}"),
            None => assert_eq!(answer.status, StatusCode::NOT_ACCEPTABLE, "{accept}"),
        }
    }
}
