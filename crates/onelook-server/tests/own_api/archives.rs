//! Annotated images of several images in one answer.

use std::io::{Cursor, Read};

use axum::body::Body;
use axum::http::StatusCode;
use onelook::media::{Limits, decode};
use onelook_server::Config;
use serde_json::{Value, json};

use crate::colours::{FORM, GREEN, RED, colours, form, image, red_and_green, server};
use crate::support::{TestResponse, TestServer, serve};

async fn annotated(server: &TestServer, accept: &str, files: &[(&str, &[u8])]) -> TestResponse {
    let mut request = server.request("POST", "/v1/detect", Body::from(form(&[], files)));
    let headers = request.headers_mut();
    headers.insert("content-type", FORM.parse().unwrap());
    headers.insert("accept", accept.parse().unwrap());
    server.send(request).await
}

/// The files of a ZIP by their names, in its order.
fn zipped(answer: &TestResponse) -> Vec<(String, Vec<u8>)> {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/zip");
    let mut archive = zip::ZipArchive::new(Cursor::new(&answer.body[..])).unwrap();
    let files = (0..archive.len()).map(|index| {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.name().unwrap().into_owned(), bytes)
    });
    files.collect()
}

#[tokio::test]
async fn a_zip_has_every_image_and_the_results() {
    let server = server().await;
    let (both, green) = (red_and_green(), image([GREEN; 4]));
    let files: [(&str, &[u8]); 4] = [
        ("image;a.png", &both),
        ("image;bad.png", b"nonsense"),
        ("image;../../a.PNG", &green),
        ("image;c.jpg", &both),
    ];
    let answer = annotated(&server, "application/zip", &files).await;
    assert!(answer.header("content-disposition").contains("onelook.zip"));
    let mut entries = zipped(&answer);
    let (name, results) = entries.pop().unwrap();
    assert_eq!(name, "results.json");
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a.jpg", "a-2.jpg", "c.jpg"]);
    for (name, bytes) in &entries {
        assert!(bytes.starts_with(b"\xff\xd8"), "{name}");
        let frame = decode(bytes, &Limits::default()).unwrap();
        assert_eq!((frame.width(), frame.height()), (64, 64));
    }
    let mut results: Value = serde_json::from_slice(&results).unwrap();
    let mut plain = annotated(&server, "application/json", &files).await.json();
    for answer in [&mut results, &mut plain] {
        answer["request_id"].take();
        for image in answer["images"].as_array_mut().unwrap() {
            image["speed_ms"].take();
            image["error"]["request_id"].take();
        }
    }
    let mut images = results["images"].as_array_mut().unwrap().iter_mut();
    let named = images.by_ref().map(|image| {
        let image = image.as_object_mut().unwrap();
        image.remove("file").unwrap_or_default()
    });
    let named: Vec<Value> = named.collect();
    assert_eq!(
        named,
        [
            json!("a.jpg"),
            json!(null),
            json!("a-2.jpg"),
            json!("c.jpg")
        ]
    );
    assert_eq!(results, plain);
}

#[tokio::test]
async fn png_is_inside_if_the_client_prefers_it() {
    let server = server().await;
    let png = red_and_green();
    let accept = "application/zip, image/png;q=0.5";
    let answer = annotated(&server, accept, &[("image;a.jpg", &png)]).await;
    let entries = zipped(&answer);
    assert_eq!(entries[0].0, "a.png");
    let frame = decode(&entries[0].1, &Limits::default()).unwrap();
    assert_ne!(frame.row(31)[..3], RED, "the line of the red square's box");
}

#[tokio::test]
async fn a_form_has_the_same_files() {
    let server = server().await;
    let png = red_and_green();
    let files: [(&str, &[u8]); 2] = [("image;a.png", &png), ("image;b.png", b"nonsense")];
    let answer = annotated(&server, "multipart/form-data", &files).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let kind = answer.header("content-type");
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let body = String::from_utf8_lossy(&answer.body);
    let parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
    assert_eq!((parts[0], parts[3], parts.len()), ("", "--\r\n", 4));
    let image = "name=\"image\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n";
    assert!(parts[1].contains(image), "{}", parts[1]);
    let results = "name=\"results\"; filename=\"results.json\"\r\nContent-Type: application/json";
    let (head, results) = parts[2]
        .split_once("\r\n\r\n")
        .map(|(h, r)| (h.contains(results), r))
        .unwrap();
    assert!(head);
    let results: Value = serde_json::from_str(results).unwrap();
    assert_eq!(results["images"][1]["error"]["status"], 415);
}

#[tokio::test]
async fn if_every_image_fails_so_does_the_request() {
    let server = server().await;
    let files: [(&str, &[u8]); 2] = [("image;a.png", b"one"), ("image;b.png", b"two")];
    for accept in ["application/zip", "multipart/form-data"] {
        let answer = annotated(&server, accept, &files).await;
        assert_eq!(
            answer.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{accept}"
        );
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_leaves_nothing_behind() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = server().await;
    let all = server.app.memory.free();
    let png = red_and_green();
    let files: Vec<(&str, &[u8])> = (0..60).map(|_| ("image;a.png", &png[..])).collect();
    let body = form(&[], &files);
    let head = format!(
        "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n\
         Accept: application/zip, image/png\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    drop(stream);
    while server.app.memory.free() != all {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn many_images_are_all_there_and_leave_nothing_behind() {
    let config = Config {
        max_batch: Some(2),
        ..colours()
    };
    let server = serve(config).await;
    let all = server.app.memory.free();
    let png = red_and_green();
    let files: Vec<(&str, &[u8])> = (0..60).map(|_| ("image;a.png", &png[..])).collect();
    let entries = zipped(&annotated(&server, "application/zip", &files).await);
    assert_eq!(entries.len(), 61);
    assert_eq!(entries[59].0, "a-60.jpg");
    while server.app.memory.free() != all {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
