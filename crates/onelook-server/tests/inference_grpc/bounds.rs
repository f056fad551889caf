//! What calls and requests may take before anybody has looked at what they say.

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tonic::{Code, Status};
use tower::ServiceExt;

use crate::support::{config, fixture, serve, tokens};
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

#[tokio::test]
async fn the_heads_of_requests_in_progress_are_counted_and_bounded() {
    let mut config = config(&[("tiny", fixture("tiny.model"))]);
    config.limits.head_bytes = 1 << 20;
    let server = serve(config).await;
    let connection = carrier(&server).await;
    let pad = "x".repeat(15_000);
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            // Its body does not come, so that it stays in progress.
            let body = futures_util::stream::pending::<Result<Frame<Bytes>, Status>>();
            let request = Request::builder()
                .method("POST")
                .uri("/v2/models/tiny/infer")
                .header("x-pad", &pad)
                .body(tonic::body::Body::new(StreamBody::new(body)))
                .unwrap();
            tokio::spawn(connection.clone().oneshot(request))
        })
        .collect();
    // One client gets half, which 34 of them fill.
    let used = || (1 << 20) - server.app.heads.free();
    eventually("half is taken", || used() >= 34 * 15_000).await;
    assert!(used() <= 36 * 15_200);
    assert_eq!(server.get("/livez").await.status, StatusCode::OK);
    for task in waiting {
        task.abort();
        let _ = task.await;
    }
    eventually("all is given back", || used() == 0).await;
}

#[tokio::test]
async fn strangers_who_ask_for_what_is_open_to_all_take_nothing_from_the_others() {
    let mut config = config(&[("tiny", fixture("tiny.model"))]);
    config.limits.head_bytes = 1 << 20;
    let server = serve(config).await;
    let connection = carrier(&server).await;
    let pad = "x".repeat(15_000);
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let body = futures_util::stream::pending::<Result<Frame<Bytes>, Status>>();
            let request = Request::builder()
                .method("POST")
                .uri("/grpc.health.v1.Health/Check")
                .header("content-type", "application/grpc")
                .header("x-pad", &pad)
                .body(tonic::body::Body::new(StreamBody::new(body)))
                .unwrap();
            tokio::spawn(connection.clone().oneshot(request))
        })
        .collect();
    let taken = || (1 << 18) - server.app.open_heads.free();
    eventually("their share is taken", || taken() > 100_000).await;
    // Half of a quarter, up to the size of one.
    assert!(taken() <= (1 << 17) + 16_000, "{}", taken());
    assert_eq!(server.app.heads.free(), 1 << 20);
    assert_eq!(server.get("/v1/models").await.status, StatusCode::OK);
    for task in waiting {
        task.abort();
        let _ = task.await;
    }
    eventually("all is given back", || taken() == 0).await;
}
