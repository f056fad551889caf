//! Compressed bodies, compressed answers, and answers that the client has already.

use std::io::{Read, Write};

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use onelook::types::Tensor;
use onelook_server::{Config, Limits};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::json;

use crate::colours::{FORM, colours, form, red_and_green, server};
use crate::support::{TestResponse, TestServer, le_bytes, serve};

const INFER: &str = "/v2/models/colours/infer";

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn send(
    server: &TestServer,
    method: &str,
    path: &str,
    headers: Headers<'_>,
    body: impl Into<Body>,
) -> TestResponse {
    let mut request = server.request(method, path, body.into());
    for (name, value) in headers {
        let name: axum::http::HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    server.send(request).await
}

fn packed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    match encoding {
        "gzip" => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        "deflate" => {
            let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), level);
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        "zstd" => compress_to_vec(bytes, CompressionLevel::Fastest),
        _ => bytes.to_vec(),
    }
}

fn unpacked(answer: &TestResponse) -> Vec<u8> {
    assert_eq!(answer.header("content-encoding"), "gzip", "{answer:?}");
    let mut bytes = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(&answer.body[..]);
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn a_body_may_be_compressed_in_any_way_on_every_route() {
    let server = server().await;
    let png = red_and_green();
    let pixels = Tensor::from_fn([1, 3, 64, 64], |index| (index % 7) as f32 / 7.0);
    let tensor = |name: &str, value: serde_json::Value| {
        let mut input = json!({"name": "images", "datatype": "FP32", "shape": pixels.shape()[..]});
        input[name] = value;
        json!({"inputs": [input]}).to_string()
    };
    let bytes = le_bytes(pixels.data());
    let head = tensor("parameters", json!({"binary_data_size": bytes.len()}));
    let length = head.len().to_string();
    let binary = [head.as_bytes(), &bytes].concat();
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &png);
    let files = form(&[], &[("image;a.png", &png)]);
    let octets = "application/octet-stream";
    let cases: [(&str, &str, Vec<u8>); 6] = [
        ("/v1/detect", "image/png", png.to_vec()),
        ("/v1/detect", FORM, files.to_vec()),
        (
            "/v1/detect",
            "application/json",
            json!({"image": base64}).to_string().into(),
        ),
        ("/v1/vision/detection", FORM, files.to_vec()),
        (
            INFER,
            "application/json",
            tensor("data", json!(pixels.data())).into(),
        ),
        (INFER, octets, binary),
    ];
    for (path, kind, body) in cases {
        for encoding in ["gzip", "deflate", "zstd"] {
            let mut headers = vec![("content-type", kind), ("content-encoding", encoding)];
            if kind == octets {
                headers.push(("inference-header-content-length", &length));
            }
            let answer = send(&server, "POST", path, &headers, packed(encoding, &body)).await;
            assert_eq!(
                answer.status,
                StatusCode::OK,
                "{path} {encoding}: {answer:?}"
            );
            let cut = packed(encoding, &body);
            let cut = cut[..cut.len() - 5].to_vec();
            let answer = send(&server, "POST", path, &headers, cut).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {encoding}");
        }
    }
}

#[tokio::test]
async fn another_encoding_is_refused_with_those_that_are_taken() {
    let server = server().await;
    let encoded = async |path: &str, headers: Headers<'_>| {
        send(&server, "POST", path, headers, red_and_green()).await
    };
    for path in [
        "/v1/detect",
        "/v1/vision/detection",
        INFER,
        "/v2/repository/index",
    ] {
        for headers in [
            &[("content-encoding", "br")][..],
            &[("content-encoding", "gzip, zstd")],
            &[("content-encoding", "gzip"), ("content-encoding", "gzip")],
        ] {
            let headers = [&[("content-type", FORM)], headers].concat();
            let answer = encoded(path, &headers).await;
            assert_eq!(
                answer.status,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "{path} {headers:?}"
            );
            assert_eq!(answer.header("accept-encoding"), "gzip, deflate, zstd");
        }
    }
    let other = encoded("/v1/detect", &[("content-type", "text/html")]).await;
    assert_eq!(other.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(
        other.header("accept-encoding"),
        "",
        "it is not about the encoding"
    );
}

#[tokio::test]
async fn what_a_body_becomes_is_bounded_in_every_encoding() {
    let limits = Limits {
        body_bytes: 1 << 20,
        memory_bytes: 4 << 20,
        ..Limits::default()
    };
    let server = serve(Config {
        limits,
        ..colours()
    })
    .await;
    let all = server.app.memory.free();
    for encoding in ["gzip", "deflate", "zstd"] {
        let bomb = packed(encoding, &vec![0; 16 << 20]);
        assert!(bomb.len() < 100_000);
        let headers = [("content-encoding", encoding)];
        let answer = send(&server, "POST", "/v1/detect", &headers, bomb).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{encoding}");
    }
    // Frames of one byte with windows of 8 MiB and 16 MiB.
    for (window, status) in [
        (0x68, StatusCode::SERVICE_UNAVAILABLE),
        (0x70, StatusCode::BAD_REQUEST),
    ] {
        let frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, window, 0b1011, 0, 0, b'x'];
        let headers = [("content-encoding", "zstd")];
        let answer = send(&server, "POST", "/v1/detect", &headers, frame).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    assert_eq!(server.app.memory.free(), all);
}

#[tokio::test]
async fn text_is_sent_as_gzip_to_whoever_accepts_it() {
    let server = server().await;
    for path in ["/", "/docs", "/ui/style.css", "/openapi.json", "/metrics"] {
        let plain = server.get(path).await;
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        let gzip = send(&server, "GET", path, &[("accept-encoding", "br, gzip")], "").await;
        assert_eq!(
            (plain.header("vary"), gzip.header("vary")),
            ("accept-encoding", "accept-encoding")
        );
        assert_eq!(gzip.header("content-type"), plain.header("content-type"));
        assert_eq!(gzip.header("content-length"), gzip.body.len().to_string());
        let text = unpacked(&gzip);
        assert!(
            gzip.body.len() < text.len() * 2 / 3,
            "{path}: {}",
            gzip.body.len()
        );
        if path != "/metrics" {
            assert_eq!(text, plain.body, "{path}");
        }
        let head = send(&server, "HEAD", path, &[("accept-encoding", "gzip")], "").await;
        assert_eq!(head.header("content-encoding"), "gzip", "{path}");
        assert_eq!(head.body, Bytes::new());
        if path != "/metrics" {
            assert_eq!(head.header("content-length"), gzip.header("content-length"));
        }
    }
}

#[tokio::test]
async fn images_and_small_answers_stay_as_they_are() {
    let server = server().await;
    let gzip = ("accept-encoding", "gzip");
    let sample = send(&server, "GET", "/ui/sample.jpg", &[gzip], "").await;
    assert!(sample.body.starts_with(b"\xff\xd8") && sample.header("vary").is_empty());
    let live = send(&server, "GET", "/livez", &[gzip], "").await;
    assert_eq!(live.json(), json!({"live": true}));
    let live = send(
        &server,
        "GET",
        "/livez",
        &[("accept-encoding", "gzip, identity;q=0")],
        "",
    )
    .await;
    assert_eq!(unpacked(&live), b"{\"live\":true}");
    let image = [gzip, ("accept", "image/png")];
    let image = send(&server, "POST", "/v1/detect", &image, red_and_green()).await;
    assert!(image.body.starts_with(b"\x89PNG"), "{image:?}");
}

#[tokio::test]
async fn an_answer_to_many_images_is_compressed_and_leaves_no_memory_behind() {
    let server = server().await;
    let all = server.app.memory.free();
    let png = red_and_green();
    let files: Vec<(&str, &[u8])> = (0..60).map(|_| ("image;a.png", &png[..])).collect();
    let headers = [("accept-encoding", "gzip"), ("content-type", FORM)];
    let answer = send(&server, "POST", "/v1/detect", &headers, form(&[], &files)).await;
    let text: serde_json::Value = serde_json::from_slice(&unpacked(&answer)).unwrap();
    assert_eq!(text["images"].as_array().unwrap().len(), 60);
    while server.app.memory.free() != all {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_file_that_the_client_has_is_not_sent_again() {
    let server = server().await;
    for path in ["/", "/ui/main.js", "/openapi.json"] {
        for accepted in ["gzip", "identity"] {
            let accept = ("accept-encoding", accepted);
            let first = send(&server, "GET", path, &[accept], "").await;
            let tag = first.header("etag").to_owned();
            // What nginx makes of it when it compresses.
            let weak = format!("\"other\", W/{tag}");
            for known in [&tag, &weak] {
                let headers = [accept, ("if-none-match", known)];
                let again = send(&server, "GET", path, &headers, "").await;
                assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path} {known}");
                assert_eq!(again.body, Bytes::new());
                assert_eq!(again.header("content-encoding"), "");
                for name in ["etag", "vary", "cache-control"] {
                    assert_eq!(again.header(name), first.header(name), "{path} {name}");
                }
            }
            let headers = [accept, ("if-none-match", "\"other\"")];
            let other = send(&server, "GET", path, &headers, "").await;
            assert_eq!(other.status, StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn compressed_messages_of_grpc_are_refused_by_name() {
    let server = server().await;
    let path = "/inference.GRPCInferenceService/ServerMetadata";
    let message = packed("gzip", b"");
    let length = (message.len() as u32).to_be_bytes();
    for flag in [0, 1] {
        let framed = match flag {
            0 => vec![0; 5],
            _ => [&[1], &length[..], &message].concat(),
        };
        let kind = ("content-type", "application/grpc");
        let gzip = [kind, ("grpc-encoding", "gzip"), ("te", "trailers")];
        let answer = send(&server, "POST", path, &gzip, framed.clone()).await;
        assert_eq!(answer.header("grpc-status"), "12", "{answer:?}");
        assert_eq!(answer.header("grpc-accept-encoding"), "identity");
        assert!(answer.header("grpc-message").contains("gzip"), "{answer:?}");
        // The flag without the name of an encoding.
        let answer = send(&server, "POST", path, &gzip[..1], framed).await;
        assert_eq!(
            answer.header("grpc-status") == "13",
            flag == 1,
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn files_that_all_clients_share_take_none_of_the_memory_for_answers() {
    let server = server().await;
    let all = server.app.memory.free();
    // HTTP/1 hands an answer on as far as the socket takes it; what is left waits for the client.
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = tokio::net::TcpStream::connect(server.address)
            .await
            .unwrap();
        let ask = "GET /ui/sample.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
        tokio::io::AsyncWriteExt::write_all(&mut client, ask.as_bytes())
            .await
            .unwrap();
        clients.push(client);
    }
    let connections = &server.app.metrics.connections;
    while connections.get() < 4 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(server.app.memory.free(), all);
}
