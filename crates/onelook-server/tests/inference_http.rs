//! The Open Inference Protocol over HTTP, with a synthetic model: responses and errors.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::Write;

use axum::body::Body;
use axum::http::StatusCode;
use onelook::types::Tensor;
use serde_json::{Value, json};
use support::{
    TestResponse, TestServer, config, fixture, le_bytes, output0, serve, test_tensor, tiny,
};

const INFER: &str = "/v2/models/tiny/infer";

/// JSON followed by the tensor's bytes, and the length of the JSON.
fn binary(input: &Tensor, change: impl Fn(&mut Value)) -> (Vec<u8>, usize) {
    let data = le_bytes(input.data());
    let tensor = json!({
        "name": "images",
        "datatype": "FP32",
        "shape": input.shape()[..],
        "parameters": {"binary_data_size": data.len()},
    });
    let mut head = json!({"inputs": [tensor], "parameters": {"binary_data_output": true}});
    change(&mut head);
    let mut body = head.to_string().into_bytes();
    let length = body.len();
    body.extend(data);
    (body, length)
}

async fn infer(
    server: &TestServer,
    body: impl Into<Body>,
    headers: &[(&str, &str)],
) -> TestResponse {
    let mut request = server.request("POST", INFER, body.into());
    for (name, value) in headers {
        let name: axum::http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    server.send(request).await
}

async fn infer_binary(
    server: &TestServer,
    input: &Tensor,
    change: impl Fn(&mut Value),
) -> TestResponse {
    let (body, length) = binary(input, change);
    let length = length.to_string();
    infer(
        server,
        body,
        &[("inference-header-content-length", &length)],
    )
    .await
}

fn error(answer: &TestResponse) -> String {
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn json_and_binary_tensors_give_the_same_bits_as_the_library() {
    let server = tiny().await;
    let input = test_tensor([2, 3, 64, 96]);
    let expected = output0("tiny.model", &input);

    let answer = infer_binary(&server, &input, |_| {}).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let length: usize = answer
        .header("inference-header-content-length")
        .parse()
        .unwrap();
    let head: Value = serde_json::from_slice(&answer.body[..length]).unwrap();
    assert_eq!(head["model_name"], "tiny");
    assert_eq!(head["model_version"], "1");
    assert_eq!(head["outputs"][0]["name"], "output0");
    assert_eq!(head["outputs"][0]["shape"], json!(expected.shape()[..]));
    assert_eq!(answer.body[length..], le_bytes(expected.data()));

    let tensor = json!({"name": "images", "datatype": "FP32", "shape": input.shape()[..], "data": input.data()});
    let asked = json!({"id": "ask-7", "inputs": [tensor], "outputs": [{"name": "output0"}]});
    let answer = infer(&server, asked.to_string(), &[]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let answer = answer.json();
    assert_eq!(answer["id"], "ask-7");
    let numbers: Vec<f32> = serde_json::from_value(answer["outputs"][0]["data"].clone()).unwrap();
    assert_eq!(le_bytes(&numbers), le_bytes(expected.data()));
}

#[tokio::test]
async fn a_request_larger_than_a_batch_gives_what_its_images_give_alone() {
    let mut config = config(&[("tiny", fixture("tiny.model"))]);
    config.max_batch = Some(2);
    let server = serve(config).await;
    let input = test_tensor([5, 3, 32, 32]);
    let answer = infer_binary(&server, &input, |_| {}).await;
    let expected = le_bytes(output0("tiny.model", &input).data());
    assert!(answer.body.ends_with(&expected));
    let statistics = server.get("/v2/models/tiny/stats").await.json();
    let model = &statistics["model_stats"][0];
    assert_eq!(model["inference_count"], 5);
    assert_eq!(model["execution_count"], 3);
    assert_eq!(model["inference_stats"]["success"]["count"], 1);
    let sizes: Vec<&Value> = model["batch_stats"].as_array().unwrap().iter().collect();
    assert_eq!(sizes.len(), 2);
}

#[tokio::test]
async fn nested_lists_and_compressed_bodies_are_read() {
    let server = tiny().await;
    let input = test_tensor([1, 3, 8, 8]);
    let rows = |plane: &[f32]| json!(plane.chunks(8).collect::<Vec<_>>());
    let planes: Vec<Value> = input.data().chunks(64).map(rows).collect();
    let tensor =
        json!({"name": "images", "datatype": "FP32", "shape": [1, 3, 8, 8], "data": [planes]});
    let body = json!({"inputs": [tensor]}).to_string();
    let plain = infer(&server, body.clone(), &[]).await;
    assert_eq!(plain.status, StatusCode::OK, "{plain:?}");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(body.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let zipped = infer(&server, packed.clone(), &[("content-encoding", "gzip")]).await;
    assert_eq!(zipped.body, plain.body);

    let broken = infer(
        &server,
        packed[..20].to_vec(),
        &[("content-encoding", "gzip")],
    )
    .await;
    assert_eq!(broken.status, StatusCode::BAD_REQUEST);
    let strange = infer(&server, packed, &[("content-encoding", "br")]).await;
    assert_eq!(strange.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_body_that_decompresses_beyond_the_limit_is_refused() {
    let mut config = config(&[("tiny", fixture("tiny.model"))]);
    config.limits.body_bytes = 1 << 20;
    let server = serve(config).await;
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 8 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    let answer = infer(&server, bomb, &[("content-encoding", "gzip")]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_tensor_that_contradicts_the_model_or_its_bytes_is_refused() {
    let server = tiny().await;
    let sound = test_tensor([1, 3, 32, 32]);
    type Case = (&'static str, Box<dyn Fn(&mut Value)>, &'static str);
    let cases: Vec<Case> = vec![
        (
            "name",
            Box::new(|head| head["inputs"][0]["name"] = json!("image")),
            "input is 'images'",
        ),
        (
            "datatype",
            Box::new(|head| head["inputs"][0]["datatype"] = json!("UINT8")),
            "expected FP32",
        ),
        (
            "rank",
            Box::new(|head| head["inputs"][0]["shape"] = json!([3, 32, 32])),
            "[images,3,height,width]",
        ),
        (
            "channels",
            Box::new(|head| head["inputs"][0]["shape"] = json!([1, 4, 32, 32])),
            "[1,4,32,32]",
        ),
        (
            "negative",
            Box::new(|head| head["inputs"][0]["shape"] = json!([1, 3, -32, -32])),
            "[1,3,-32,-32]",
        ),
        (
            "empty",
            Box::new(|head| head["inputs"][0]["shape"] = json!([0, 3, 32, 32])),
            "empty",
        ),
        (
            "longer",
            Box::new(|head| head["inputs"][0]["shape"] = json!([2, 3, 32, 32])),
            "needs 24576 bytes, the request has 12288",
        ),
        (
            "stride",
            Box::new(|head| head["inputs"][0]["shape"] = json!([1, 3, 16, 60])),
            "multiples of 8",
        ),
        (
            "sides",
            Box::new(|head| head["inputs"][0]["shape"] = json!([1, 3, 1, 8192])),
            "longer than 1920",
        ),
        (
            "images",
            Box::new(|head| head["inputs"][0]["shape"] = json!([4294967296i64, 3, 1024, 1024])),
            "at most 32",
        ),
        (
            "axes",
            Box::new(|head| head["inputs"][0]["shape"] = json!([1, 1, 1, 1, 1, 1, 1, 1, 1])),
            "more than 8",
        ),
        (
            "beyond",
            Box::new(|head| head["inputs"][0]["shape"] = json!([1, 3, 32, u64::MAX])),
            "not a request",
        ),
        (
            "size",
            Box::new(|head| head["inputs"][0]["parameters"]["binary_data_size"] = json!(12292)),
            "announces more",
        ),
        (
            "left",
            Box::new(|head| head["inputs"][0]["parameters"]["binary_data_size"] = json!(12284)),
            "4 bytes after the JSON",
        ),
        (
            "both",
            Box::new(|head| head["inputs"][0]["data"] = json!([1])),
            "both",
        ),
        (
            "twice",
            Box::new(|head| {
                let mut again = head["inputs"][0].clone();
                again["parameters"]["binary_data_size"] = json!(0);
                head["inputs"].as_array_mut().unwrap().push(again);
            }),
            "got 2",
        ),
        (
            "output",
            Box::new(|head| head["outputs"] = json!([{"name": "boxes"}])),
            "its output is 'output0'",
        ),
        (
            "classes",
            Box::new(|head| {
                head["outputs"] = json!([{"name": "output0", "parameters": {"classification": 3}}])
            }),
            "classification",
        ),
        (
            "shared",
            Box::new(|head| head["inputs"][0]["parameters"]["shared_memory_region"] = json!("x")),
            "shared memory",
        ),
        (
            "sequence",
            Box::new(|head| head["parameters"]["sequence_id"] = json!(4)),
            "sequences",
        ),
        (
            "start",
            Box::new(|head| head["parameters"]["sequence_start"] = json!(true)),
            "sequences",
        ),
    ];
    for (name, change, words) in cases {
        let answer = infer_binary(&server, &sound, change).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}: {answer:?}");
        let error = error(&answer);
        assert!(error.contains(words), "{name}: {error}");
    }
    let untouched = infer_binary(&server, &sound, |head| {
        head["parameters"]["hello"] = json!({"there": [1, 2]});
        head["parameters"]["sequence_id"] = json!(0);
    });
    assert_eq!(untouched.await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_model_with_a_fixed_size_refuses_other_sizes() {
    let server = tiny().await;
    for (size, status) in [(64, StatusCode::OK), (32, StatusCode::BAD_REQUEST)] {
        let (body, length) = binary(&test_tensor([1, 3, size, size]), |_| {});
        let mut request = server.request("POST", "/v2/models/fixed/infer", body.into());
        let headers = request.headers_mut();
        headers.insert("inference-header-content-length", length.into());
        let answer = server.send(request).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let refused = status != StatusCode::OK;
        assert!(!refused || error(&answer).contains("takes only 64x64"));
    }
}

#[tokio::test]
async fn a_body_that_is_not_a_request_is_refused() {
    let server = tiny().await;
    let tensor = |data: Value| {
        json!({"inputs": [{"name": "images", "datatype": "FP32", "shape": [1, 3, 8, 8], "data": data}]})
            .to_string()
    };
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let cases = [
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"inputs":[]}"#.to_owned(),
        r#"{"inputs":["#.to_owned(),
        r#"{"inputs":[{"name":"images","datatype":"FP32","shape":[1,3,8,8]}]}"#.to_owned(),
        r#"{"inputs":[{"name":"images","datatype":"FP32","data":[1]}]}"#.to_owned(),
        tensor(json!([1, 2])),
        tensor(json!(["a", "b"])),
        tensor(json!([1e300])),
        tensor(json!([null])),
        tensor(json!(1)),
        format!(
            r#"{{"inputs":[{{"name":"images","datatype":"FP32","shape":[1],"data":{deep}}}]}}"#
        ),
        format!(r#"{{"id":"{}", "inputs": 3}}"#, "x".repeat(100_000)),
    ];
    for body in cases {
        let start: String = body.chars().take(60).collect();
        let answer = infer(&server, body, &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{start}");
        assert!(error(&answer).len() < 400, "{start}");
    }
    for length in ["99999999", "abc", "-5", "0"] {
        let (body, _) = binary(&test_tensor([1, 3, 8, 8]), |_| {});
        let headers = [("inference-header-content-length", length)];
        let answer = infer(&server, body, &headers).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{length}");
    }
}

#[tokio::test]
async fn a_request_may_have_a_priority_and_is_counted_in_the_statistics() {
    let server = tiny().await;
    let input = test_tensor([1, 3, 8, 8]);
    let answer = infer_binary(&server, &input, |head| {
        head["parameters"]["timeout"] = json!(60_000_000);
        head["parameters"]["priority"] = json!(1);
    });
    assert_eq!(answer.await.status, StatusCode::OK);
    let wrong = infer_binary(&server, &input, |head| {
        head["parameters"]["priority"] = json!(-1);
    });
    assert_eq!(wrong.await.status, StatusCode::BAD_REQUEST);
    let statistics = server.get("/v2/models/stats").await.json();
    let models = statistics["model_stats"].as_array().unwrap();
    assert_eq!(models.len(), 2);
    for stage in [
        "success",
        "queue",
        "compute_input",
        "compute_infer",
        "compute_output",
    ] {
        assert_eq!(models[0]["inference_stats"][stage]["count"], 1, "{stage}");
    }
    assert!(models[0]["last_inference"].as_u64().unwrap() > 1_600_000_000_000);
}
