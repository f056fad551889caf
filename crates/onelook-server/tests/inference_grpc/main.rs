//! The Open Inference Protocol over gRPC, with a synthetic model and a real connection.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bounds;
mod streams;
#[path = "../support/mod.rs"]
mod support;

/// What the generated servers name; only clients are used here.
mod codec {
    pub use tonic_prost::ProstCodec as BoundedCodec;
}

#[allow(missing_docs, dead_code, clippy::all)]
#[path = "../../src/grpc/generated.rs"]
mod generated;

use std::collections::HashMap;
use std::time::Duration;

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use generated::health::HealthCheckRequest;
use generated::health::health_check_response::ServingStatus;
use generated::health::health_client::HealthClient;
use generated::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use generated::inference::infer_parameter::ParameterChoice;
use generated::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use generated::inference::*;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use onelook::types::Tensor;
use support::{TestServer, config, fixture, le_bytes, output0, serve, test_tensor, tiny, tokens};
use tokio::net::TcpStream;
use tonic::{Code, Status};
use tower::ServiceExt;

type Carrier = tower::util::BoxCloneService<
    Request<tonic::body::Body>,
    hyper::Response<hyper::body::Incoming>,
    hyper::Error,
>;
type Client = GrpcInferenceServiceClient<Carrier>;

/// One HTTP/2 connection to the server.
async fn carrier(server: &TestServer) -> Carrier {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let io = TokioIo::new(stream);
    let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
    let (sender, connection) = shaken.unwrap();
    tokio::spawn(connection);
    let authority = server.address.to_string();
    let send = move |mut request: Request<tonic::body::Body>| {
        let path = request.uri().path().to_owned();
        *request.uri_mut() = format!("http://{authority}{path}").parse().unwrap();
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    };
    tower::service_fn(send).boxed_clone()
}

async fn client(server: &TestServer) -> Client {
    Client::new(carrier(server).await)
}

fn raw(input: &Tensor) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "tiny".to_owned(),
        inputs: vec![InferInputTensor {
            name: "images".to_owned(),
            datatype: "FP32".to_owned(),
            shape: input.shape().iter().map(|&size| size as i64).collect(),
            ..Default::default()
        }],
        raw_input_contents: vec![le_bytes(input.data()).into()],
        ..Default::default()
    }
}

/// Waits until something holds; it must within thirty seconds.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let waits = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let held = tokio::time::timeout(Duration::from_secs(30), waits).await;
    assert!(held.is_ok(), "never: {what}");
}

fn parameter(choice: ParameterChoice) -> InferParameter {
    InferParameter {
        parameter_choice: Some(choice),
    }
}

#[tokio::test]
async fn raw_and_typed_tensors_give_the_same_bits_as_the_library() {
    let server = tiny().await;
    let mut client = client(&server).await;
    let input = test_tensor([2, 3, 64, 96]);
    let expected = output0("tiny.model", &input);

    let mut asked = raw(&input);
    asked.id = "ask-7".to_owned();
    let answer = client.model_infer(asked).await.unwrap().into_inner();
    assert_eq!(
        (&*answer.id, &*answer.model_name, &*answer.model_version),
        ("ask-7", "tiny", "1")
    );
    let shape: Vec<i64> = expected.shape().iter().map(|&size| size as i64).collect();
    assert_eq!(answer.outputs[0].shape, shape);
    assert_eq!(answer.raw_output_contents[0], le_bytes(expected.data()));

    let mut asked = raw(&input);
    asked.raw_input_contents.clear();
    asked.inputs[0].contents = Some(InferTensorContents {
        fp32_contents: input.data().to_vec(),
        ..Default::default()
    });
    asked.outputs = vec![InferRequestedOutputTensor {
        name: "output0".to_owned(),
        parameters: HashMap::new(),
    }];
    let typed = client.model_infer(asked).await.unwrap().into_inner();
    assert_eq!(typed.raw_output_contents, answer.raw_output_contents);
}

#[tokio::test]
async fn an_invalid_request_is_an_invalid_argument() {
    let server = tiny().await;
    let mut client = client(&server).await;
    type Change = fn(&mut ModelInferRequest);
    let cases: [(Change, Code, &str); 12] = [
        (
            |asked| asked.inputs[0].name = "image".into(),
            Code::InvalidArgument,
            "input is 'images'",
        ),
        (
            |asked| asked.inputs[0].datatype = "FP16".into(),
            Code::InvalidArgument,
            "expected FP32",
        ),
        (
            |asked| asked.inputs[0].shape = vec![1, 3, -8, -8],
            Code::InvalidArgument,
            "[1,3,-8,-8]",
        ),
        (
            |asked| asked.inputs[0].shape = vec![1, 3, 8, 16],
            Code::InvalidArgument,
            "1536 bytes, the request has 768",
        ),
        (
            |asked| asked.raw_input_contents.push(Default::default()),
            Code::InvalidArgument,
            "2 raw_input_contents",
        ),
        (
            |asked| asked.inputs[0].contents = Some(Default::default()),
            Code::InvalidArgument,
            "both",
        ),
        (
            |asked| asked.raw_input_contents.clear(),
            Code::InvalidArgument,
            "the request has 0",
        ),
        (
            |asked| asked.inputs.clear(),
            Code::InvalidArgument,
            "1 raw_input_contents",
        ),
        (
            |asked| {
                drop(asked.parameters.insert(
                    "sequence_id".into(),
                    parameter(ParameterChoice::StringParam("a".into())),
                ))
            },
            Code::InvalidArgument,
            "sequences",
        ),
        (
            |asked| {
                drop(asked.parameters.insert(
                    "priority".into(),
                    parameter(ParameterChoice::Int64Param(-1)),
                ))
            },
            Code::InvalidArgument,
            "priority",
        ),
        (
            |asked| asked.model_name = "nope".into(),
            Code::NotFound,
            "nope",
        ),
        (
            |asked| asked.model_version = "9".into(),
            Code::NotFound,
            "no version",
        ),
    ];
    for (change, code, words) in cases {
        let mut asked = raw(&test_tensor([1, 3, 8, 8]));
        change(&mut asked);
        let status = client.model_infer(asked).await.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(words), "{status:?}");
    }
}

#[tokio::test]
async fn a_stream_answers_in_order_and_survives_a_bad_request() {
    let server = tiny().await;
    let mut client = client(&server).await;
    let numbered = |number: usize, size: usize| {
        let mut asked = raw(&test_tensor([1, 3, size, size]));
        asked.id = number.to_string();
        asked
    };
    let mut wrong = numbered(1, 8);
    wrong.inputs[0].name = "image".to_owned();
    let asked = futures_util::stream::iter([numbered(0, 16), wrong, numbered(2, 8)]);
    let mut answers = client.model_stream_infer(asked).await.unwrap().into_inner();
    let mut seen = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        let response = answer.infer_response.unwrap();
        assert!(response.parameters.contains_key("triton_final_response"));
        seen.push((
            response.id,
            answer.error_message.contains("input is 'images'"),
        ));
    }
    let expected = [("0", false), ("1", true), ("2", false)];
    assert_eq!(seen, expected.map(|(id, wrong)| (id.to_owned(), wrong)));
    drop(answers);
    let all = server.app.config.limits.memory_bytes;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if server.app.memory.free() == all {
            return;
        }
    }
    panic!("the stream's messages are still paid for");
}

#[tokio::test]
async fn a_message_that_does_not_arrive_times_out() {
    let mut config = config(&[("tiny", fixture("tiny.model"))]);
    config.limits.min_progress.stall = Duration::from_millis(100);
    let server = serve(config).await;
    let nothing = futures_util::stream::pending::<Result<Frame<Bytes>, Status>>();
    let request = Request::builder()
        .method("POST")
        .uri("/inference.GRPCInferenceService/ModelInfer")
        .header("content-type", "application/grpc")
        .body(tonic::body::Body::new(StreamBody::new(nothing)))
        .unwrap();
    let answer = carrier(&server).await.oneshot(request).await.unwrap();
    let status = Status::from_header_map(answer.headers()).unwrap();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
}

#[tokio::test]
async fn server_and_models_are_described_as_over_http() {
    let server = tiny().await;
    let mut client = client(&server).await;
    assert!(
        client
            .server_live(ServerLiveRequest {})
            .await
            .unwrap()
            .into_inner()
            .live
    );
    assert!(
        client
            .server_ready(ServerReadyRequest {})
            .await
            .unwrap()
            .into_inner()
            .ready
    );
    let ready = |name: &str, version: &str| ModelReadyRequest {
        name: name.to_owned(),
        version: version.to_owned(),
    };
    for (name, version, expected) in [
        ("tiny", "", true),
        ("tiny", "1", true),
        ("tiny", "7", false),
        ("nope", "", false),
    ] {
        let said = client.model_ready(ready(name, version)).await.unwrap();
        assert_eq!(said.into_inner().ready, expected, "{name} {version}");
    }
    let asked = ModelConfigRequest {
        name: "fixed".to_owned(),
        version: String::new(),
    };
    let config = client
        .model_config(asked)
        .await
        .unwrap()
        .into_inner()
        .config
        .unwrap();
    assert_eq!(config.input[0].dims, [3, 64, 64]);
    assert_eq!(config.input[0].data_type(), DataType::TypeFp32);
    let http = server.get("/v2/models/fixed/config").await.json();
    assert_eq!(http["max_batch_size"], config.max_batch_size);
    let words = &http["parameters"]["metadata"]["string_value"];
    assert_eq!(*words, config.parameters["metadata"].string_value);

    let asked = ModelStatisticsRequest::default();
    let statistics = client.model_statistics(asked).await.unwrap().into_inner();
    assert_eq!(statistics.model_stats.len(), 2);
    let index = client
        .repository_index(RepositoryIndexRequest::default())
        .await
        .unwrap();
    let names: Vec<String> = index
        .into_inner()
        .models
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, ["tiny", "fixed"]);
}

#[tokio::test]
async fn models_are_loaded_and_unloaded() {
    let server = tiny().await;
    let mut client = client(&server).await;
    let unload = RepositoryModelUnloadRequest {
        model_name: "tiny".to_owned(),
        ..Default::default()
    };
    client.repository_model_unload(unload).await.unwrap();
    let status = client
        .model_infer(raw(&test_tensor([1, 3, 8, 8])))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let load = |name: &str| RepositoryModelLoadRequest {
        model_name: name.to_owned(),
        ..Default::default()
    };
    client.repository_model_load(load("tiny")).await.unwrap();
    let answer = client
        .model_infer(raw(&test_tensor([1, 3, 8, 8])))
        .await
        .unwrap();
    assert_eq!(answer.into_inner().model_version, "1");
    let status = client
        .repository_model_load(load("nope"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn the_health_of_a_model_is_not_told_to_strangers() {
    let server = serve(onelook_server::Config {
        secrets: tokens("s3cret"),
        ..config(&[("tiny", fixture("tiny.model"))])
    })
    .await;
    let mut client = HealthClient::new(carrier(&server).await);
    let asked = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    assert!(client.check(asked("")).await.is_ok());
    for name in ["tiny", "nobody"] {
        let refused = client.check(asked(name)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(!refused.message().contains("tiny"));
        let mut known = tonic::Request::new(asked(name));
        let token = "Bearer s3cret".parse().unwrap();
        known.metadata_mut().insert("authorization", token);
        assert_eq!(client.check(known).await.is_ok(), name == "tiny");
    }
}

#[tokio::test]
async fn the_health_service_of_grpc_is_answered() {
    let server = tiny().await;
    let mut client = HealthClient::new(carrier(&server).await);
    let asked = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    for name in ["", "inference.GRPCInferenceService", "tiny"] {
        let said = client.check(asked(name)).await.unwrap().into_inner();
        assert_eq!(said.status(), ServingStatus::Serving, "{name}");
    }
    let status = client.check(asked("nope")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_message_beyond_the_limits_is_refused_and_returns_its_budget() {
    let mut config = config(&[("tiny", fixture("tiny.model"))]);
    config.limits.body_bytes = 1 << 20;
    config.limits.memory_bytes = 1 << 20;
    let server = serve(config).await;
    let mut client = client(&server).await;
    let status = client
        .model_infer(raw(&test_tensor([8, 3, 128, 128])))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    let status = client
        .model_infer(raw(&test_tensor([4, 3, 128, 128])))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    for _ in 0..8 {
        client
            .model_infer(raw(&test_tensor([1, 3, 128, 128])))
            .await
            .unwrap();
    }
    assert_eq!(server.app.memory.free(), 1 << 20);
}

#[tokio::test]
async fn an_unknown_call_is_unimplemented_and_a_known_one_over_http_is_not_found() {
    let server = tiny().await;
    let mut grpc = tonic::client::Grpc::new(carrier(&server).await);
    grpc.ready().await.unwrap();
    let path = "/inference.GRPCInferenceService/SystemSharedMemoryRegister";
    let codec = tonic_prost::ProstCodec::<ServerLiveRequest, ServerLiveResponse>::default();
    let called = grpc.unary(
        tonic::Request::new(ServerLiveRequest {}),
        path.parse().unwrap(),
        codec,
    );
    assert_eq!(called.await.unwrap_err().code(), Code::Unimplemented);

    let rest = server.post(
        "/inference.GRPCInferenceService/ServerLive",
        "application/json",
        "{}",
    );
    let rest = rest.await;
    assert_eq!(rest.status, StatusCode::NOT_FOUND);
    assert_eq!(rest.header("grpc-status"), "");
}
