//! Bad requests: each gets a clear error, none makes the server panic or stop.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use onelook_server::{Config, Limits, MinProgress};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::colours::{FORM, colours, form, red_and_green, server};
use crate::support::{TestResponse, TestServer, serve, tokens};

/// Status and kind of a problem. Checks its form too.
fn problem(answer: &TestResponse) -> (u16, String) {
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{answer:?}"
    );
    let body = answer.json();
    assert_eq!(body["status"], json!(answer.status.as_u16()));
    assert_eq!(body["request_id"], json!(answer.header("x-request-id")));
    let kind = body["type"]
        .as_str()
        .unwrap()
        .trim_start_matches("/problems/")
        .to_owned();
    (answer.status.as_u16(), kind)
}

fn detail(answer: &TestResponse) -> String {
    let _ = problem(answer);
    answer.json()["detail"].as_str().unwrap().to_owned()
}

async fn still_answers(server: &TestServer) {
    let answer = server
        .post("/v1/detect", "image/png", red_and_green())
        .await;
    assert_eq!(answer.status, StatusCode::OK);
}

/// The response to raw bytes.
async fn raw(server: &TestServer, pieces: &[&[u8]], pause: Duration) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for piece in pieces {
        if stream.write_all(piece).await.is_err() {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// A PNG whose header declares this size.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend(width.to_be_bytes());
    png.extend(height.to_be_bytes());
    png.extend([8, 2, 0, 0, 0]);
    let crc = png[12..].iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    png.extend((!crc).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    png
}

#[tokio::test]
async fn an_invalid_image_is_refused_with_the_reason() {
    let server = server().await;
    let whole = red_and_green();
    let cases: [(&str, Bytes, (u16, &str)); 6] = [
        (
            "no image",
            Bytes::from_static(b"<html>hello</html>"),
            (415, "unsupported"),
        ),
        ("empty", Bytes::new(), (415, "unsupported")),
        (
            "cut short",
            whole.slice(..whole.len() / 2),
            (422, "unprocessable"),
        ),
        ("a bomb", bomb(10_000, 10_000).into(), (413, "too-large")),
        (
            "a larger bomb",
            bomb(u32::MAX >> 1, u32::MAX >> 1).into(),
            (413, "too-large"),
        ),
        ("noise", Bytes::from(vec![0xff; 1000]), (415, "unsupported")),
    ];
    for (what, body, expected) in cases {
        let answer = server.post("/v1/detect", "image/png", body).await;
        let (status, kind) = problem(&answer);
        assert_eq!((status, kind.as_str()), expected, "{what}");
        let names_the_flag = detail(&answer).contains("--max-pixels");
        assert_eq!(names_the_flag, status == 413, "{what}: {answer:?}");
    }
    still_answers(&server).await;
}

#[tokio::test]
async fn invalid_requests_are_refused_with_what_is_expected() {
    let server = server().await;
    let mut texts = String::new();
    for query in [
        "conf=1.5",
        "conf=nan",
        "iou=-1",
        "max_det=0",
        "max_det=100000",
        "imgsz=16384",
        "imgsz=16",
        "rect=2",
        "classes=7",
        "classes=cat",
        "confidence=0.5",
        "conf=0.1&conf=0.2",
        "line_width=0",
        "model=nobody",
        "model=../../etc/passwd",
        "model=",
    ] {
        let answer = server
            .post(&format!("/v1/detect?{query}"), "image/png", red_and_green())
            .await;
        texts += &format!(
            "{query}\n  {} {}\n",
            answer.status.as_u16(),
            detail(&answer)
        );
    }
    let json = "application/json";
    let png = red_and_green();
    for (kind, body) in [
        ("text/plain", Bytes::from_static(b"x")),
        (
            "application/x-www-form-urlencoded",
            Bytes::from_static(b"x"),
        ),
        (json, Bytes::from_static(b"{")),
        (json, Bytes::from_static(b"{}")),
        (json, Bytes::from_static(b"{\"image\":{\"path\":\"x\"}}")),
        (json, Bytes::from_static(b"{\"image\":{\"base64\":\"!\"}}")),
        (
            json,
            Bytes::from_static(b"{\"image\":{\"base64\":\"\"},\"conf\":\"0.5\"}"),
        ),
        (
            json,
            Bytes::from_static(b"{\"image\":{\"url\":\"http://1.1.1.1/\"}}"),
        ),
        ("multipart/form-data", Bytes::from_static(b"x")),
        (FORM, Bytes::from_static(b"x")),
        (FORM, form(&[("conf", "0.5")], &[])),
        (
            FORM,
            form(&[("confidence", "0.5")], &[("image;a.png", &png)]),
        ),
    ] {
        let answer = server.post("/v1/detect", kind, body.clone()).await;
        let shown: String = String::from_utf8_lossy(&body)
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(60)
            .collect();
        texts += &format!(
            "{kind}: {shown}\n  {} {}\n",
            answer.status.as_u16(),
            detail(&answer)
        );
    }
    for (method, path) in [
        ("GET", "/v1/detect"),
        ("DELETE", "/v1/models"),
        ("GET", "/v1/nothing"),
    ] {
        let answer = server
            .send(server.request(method, path, Body::empty()))
            .await;
        texts += &format!(
            "{method} {path}\n  {} {}\n",
            answer.status.as_u16(),
            detail(&answer)
        );
    }
    insta::assert_snapshot!("refusals", texts);
}

#[tokio::test]
async fn invalid_headers_are_refused() {
    let server = server().await;
    for (name, value, status) in [
        ("accept", "text/html", 406),
        ("x-priority", "urgent", 400),
        ("x-timeout-ms", "soon", 400),
    ] {
        let mut request = server.request("POST", "/v1/detect", Body::from(red_and_green()));
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(problem(&server.send(request).await).0, status, "{name}");
    }
}

#[tokio::test]
async fn model_names_are_never_paths() {
    let server = server().await;
    for name in [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e%2f",
        "%2Fetc%2Fpasswd",
        "a%00b",
        "..",
        "%252e%252e%252f",
        "a%5cb",
        "%F0%9F%90%B1",
    ] {
        for path in [
            format!("/v1/models/{name}"),
            format!("/v1/models/{name}/load"),
        ] {
            let method = if path.ends_with("/load") {
                "POST"
            } else {
                "GET"
            };
            let answer = server
                .send(server.request(method, &path, Body::empty()))
                .await;
            assert_eq!(problem(&answer).0, 404, "{path}");
            assert!(!detail(&answer).contains("root:"), "{path}");
        }
    }
    let not_text = server.get("/v1/models/%ff%fe").await;
    assert_eq!(problem(&not_text).0, 400);
    let long = server
        .get(&format!("/v1/models/{}", "x".repeat(20_000)))
        .await;
    assert_eq!(problem(&long).0, 404);
    assert!(long.body.len() < 1000);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_with_and_without_a_length() {
    let limits = Limits {
        body_bytes: 1500,
        images: 2,
        ..Limits::default()
    };
    let server = serve(Config {
        limits,
        ..colours()
    })
    .await;
    let declared = server.post("/v1/detect", "image/png", vec![0; 5000]).await;
    assert_eq!(problem(&declared), (413, "too-large".to_owned()));
    assert!(detail(&declared).contains("--max-body"), "{declared:?}");
    let chunk = [b"3e8\r\n".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
    let head = b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n\
                 Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let chunked = raw(
        &server,
        &[head, &chunk, &chunk, b"0\r\n\r\n"],
        Duration::ZERO,
    )
    .await;
    assert!(chunked.starts_with("HTTP/1.1 413"), "{chunked}");
    let png = red_and_green();
    let many = form(
        &[],
        &[("a;a.png", &png), ("b;b.png", &png), ("c;c.png", &png)],
    );
    assert!(
        many.len() <= 1500,
        "the images are to be too many, not too large"
    );
    let many = server.post("/v1/detect", FORM, many).await;
    assert_eq!(problem(&many).0, 413);
    assert!(detail(&many).contains("--max-images"), "{many:?}");
    still_answers(&server).await;
}

#[tokio::test]
async fn bodies_together_stay_within_the_budget() {
    let limits = Limits {
        memory_bytes: 8 << 10,
        ..Limits::default()
    };
    let server = serve(Config {
        limits,
        ..colours()
    })
    .await;
    let answer = server.post("/v1/detect", "image/png", vec![0; 9000]).await;
    assert_eq!(problem(&answer), (503, "overloaded".to_owned()));
    assert_eq!(answer.header("retry-after"), "1");
    still_answers(&server).await;
}

#[tokio::test]
async fn a_body_that_arrives_too_slowly_is_refused() {
    let limits = Limits {
        min_progress: MinProgress {
            stall: Duration::from_millis(300),
            bytes_per_second: 1000,
        },
        ..Limits::default()
    };
    let server = serve(Config {
        limits,
        ..colours()
    })
    .await;
    let head = b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n\
                 Content-Length: 1000\r\n\r\n";
    let pieces: [&[u8]; 5] = [head, b"x", b"x", b"x", b"x"];
    let answer = raw(&server, &pieces, Duration::from_millis(150)).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    still_answers(&server).await;
}

#[tokio::test]
async fn a_token_allows_its_scope_only() {
    let server = serve(Config {
        secrets: tokens("eye look read\ncamera shoot infer\nroot all admin"),
        ..colours()
    })
    .await;
    let ask = async |method: &str, path: &str, header: Option<(&'static str, &str)>| {
        let mut request = server.request(method, path, Body::from(red_and_green()));
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        server.send(request).await
    };
    let detect = "/v1/detect";
    let missing = ask("POST", detect, None).await;
    assert_eq!(problem(&missing), (401, "unauthorised".to_owned()));
    assert_eq!(missing.header("www-authenticate"), "Bearer");
    for (value, status) in [
        ("Bearer nonsense", 401),
        ("Bearer look", 403),
        ("Bearer shoot", 200),
        ("bearer all", 200),
    ] {
        let answer = ask("POST", detect, Some(("authorization", value))).await;
        assert_eq!(answer.status.as_u16(), status, "{value}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("nonsense"));
    }
    assert_eq!(
        ask("POST", detect, Some(("x-api-key", "shoot")))
            .await
            .status,
        StatusCode::OK
    );
    let load = "/v1/models/colours/load";
    assert_eq!(
        ask("POST", load, Some(("x-api-key", "shoot")))
            .await
            .status
            .as_u16(),
        403
    );
    assert_eq!(
        ask("POST", load, Some(("x-api-key", "all"))).await.status,
        StatusCode::OK
    );
    assert_eq!(
        ask("GET", "/v1/models", Some(("x-api-key", "look")))
            .await
            .status,
        StatusCode::OK
    );
    for open in ["/livez", "/readyz"] {
        assert_eq!(
            ask("GET", open, None).await.status,
            StatusCode::OK,
            "{open}"
        );
    }
    assert_eq!(ask("GET", "/v1/status", None).await.status.as_u16(), 401);
}
