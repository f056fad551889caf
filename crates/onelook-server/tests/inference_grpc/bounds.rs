//! What calls and requests may take before anybody has looked at what they say.

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use tower::ServiceExt;

use crate::support::{TestServer, config, fixture, serve, tokens};
use crate::{carrier, eventually};

#[tokio::test]
async fn a_call_that_is_open_to_all_takes_no_more_than_64_kib() {
    let server = serve(onelook_server::Config {
        secrets: tokens("s3cret"),
        ..config(&[("tiny", fixture("tiny.model"))])
    })
    .await;
    for path in [
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
        "/grpc.health.v1.Health/Check",
    ] {
        // A message of a megabyte by its prefix, of which no more comes than this.
        let start = [&[0, 0, 16, 0, 0][..], &[0; (64 << 10) + 1]].concat();
        let start = futures_util::stream::iter([Ok::<_, Status>(Frame::data(Bytes::from(start)))]);
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("content-type", "application/grpc")
            .body(tonic::body::Body::new(StreamBody::new(
                start.chain(futures_util::stream::pending()),
            )))
            .unwrap();
        let answer = carrier(&server).await.oneshot(request).await.unwrap();
        let status = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted, "{path}: {status:?}");
    }
}

/// A hundred requests to this path whose bodies do not come, so that they stay in progress with their large heads.
async fn unfinished(
    server: &TestServer,
    path: &'static str,
    content_type: &'static str,
) -> Vec<JoinHandle<()>> {
    let connection = carrier(server).await;
    let pad = "x".repeat(15_000);
    let request = || {
        let body = futures_util::stream::pending::<Result<Frame<Bytes>, Status>>();
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("content-type", content_type)
            .header("x-pad", &pad)
            .body(tonic::body::Body::new(StreamBody::new(body)))
            .unwrap();
        let answer = connection.clone().oneshot(request);
        tokio::spawn(async move { drop(answer.await) })
    };
    (0..100).map(|_| request()).collect()
}

async fn abort(waiting: Vec<JoinHandle<()>>) {
    for task in waiting {
        task.abort();
        let _ = task.await;
    }
}

#[tokio::test]
async fn the_heads_of_requests_in_progress_are_counted_and_bounded() {
    let mut config = config(&[("tiny", fixture("tiny.model"))]);
    config.limits.head_bytes = 1 << 20;
    let server = serve(config).await;
    let waiting = unfinished(&server, "/v2/models/tiny/infer", "application/json").await;
    // One client gets half, which 34 of them fill.
    let used = || (1 << 20) - server.app.heads.free();
    eventually("half is taken", || used() >= 34 * 15_000).await;
    assert!(used() <= 36 * 15_200);
    assert_eq!(server.get("/livez").await.status, StatusCode::OK);
    abort(waiting).await;
    eventually("all is given back", || used() == 0).await;
}

#[tokio::test]
async fn strangers_who_ask_for_what_is_open_to_all_take_nothing_from_the_others() {
    let mut config = config(&[("tiny", fixture("tiny.model"))]);
    config.limits.head_bytes = 1 << 20;
    let server = serve(config).await;
    let waiting = unfinished(&server, "/grpc.health.v1.Health/Check", "application/grpc").await;
    let taken = || (1 << 18) - server.app.open_heads.free();
    eventually("their share is taken", || taken() > 100_000).await;
    // Half of a quarter, up to the size of one.
    assert!(taken() <= (1 << 17) + 16_000, "{}", taken());
    assert_eq!(server.app.heads.free(), 1 << 20);
    assert_eq!(server.get("/v1/models").await.status, StatusCode::OK);
    abort(waiting).await;
    eventually("all is given back", || taken() == 0).await;
}
