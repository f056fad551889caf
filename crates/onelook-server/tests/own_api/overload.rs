//! Overload: requests beyond the queue are refused at once, and disconnected clients leave it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use axum::body::Body;
use onelook_server::Config;
use onelook_server::admission::{AdmissionController, Permit};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::colours::{colours, red_and_green};
use crate::support::{TestServer, another_client, serve};

/// A server whose queue takes one request, and whose permits are all taken.
async fn full() -> (TestServer, Arc<AdmissionController>, Vec<Permit>) {
    let server = serve(Config {
        queue: 1,
        ..colours()
    })
    .await;
    let entry = server.app.models.find(None).unwrap();
    let admission = Arc::clone(&entry.loaded().unwrap().admission);
    let request = another_client();
    let mut permits = Vec::new();
    while let Ok(permit) =
        tokio::time::timeout(Duration::from_millis(20), admission.admit(&request)).await
    {
        permits.push(permit.unwrap());
    }
    assert_eq!(admission.length(), 0);
    (server, admission, permits)
}

async fn wait_for(admission: &AdmissionController, length: usize) {
    let patience = Instant::now() + Duration::from_secs(5);
    while admission.length() != length {
        assert!(
            Instant::now() < patience,
            "{} wait, not {length}",
            admission.length()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_request_to_a_full_queue_is_refused_at_once_and_the_waiting_one_is_served() {
    let (server, admission, permits) = full().await;
    let server = Arc::new(server);
    let other = Arc::clone(&server);
    let waiting =
        tokio::spawn(async move { other.post("/v1/detect", "image/png", red_and_green()).await });
    wait_for(&admission, 1).await;
    let start = Instant::now();
    let refused = server
        .post("/v1/detect", "image/png", red_and_green())
        .await;
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!([429, 503].contains(&refused.status.as_u16()), "{refused:?}");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(refused.header("content-type"), "application/problem+json");
    drop(permits);
    assert_eq!(waiting.await.unwrap().status.as_u16(), 200);
    let status = server.get("/v1/status").await.json();
    assert_eq!(status["requests"]["rejected"], 1);
}

#[tokio::test]
async fn a_request_that_cannot_make_its_deadline_is_refused_in_time() {
    let (server, admission, _permits) = full().await;
    let mut request = server.request("POST", "/v1/detect", Body::from(red_and_green()));
    request
        .headers_mut()
        .insert("x-timeout-ms", "100".parse().unwrap());
    let start = Instant::now();
    let answer = server.send(request).await;
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(answer.status.as_u16(), 503);
    assert_eq!(answer.json()["type"], "/problems/deadline");
    assert_eq!(admission.length(), 0);
}

#[tokio::test]
async fn a_disconnected_client_leaves_the_queue() {
    let (server, admission, _permits) = full().await;
    let png = red_and_green();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n",
        png.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&png).await.unwrap();
    wait_for(&admission, 1).await;
    drop(stream);
    wait_for(&admission, 0).await;
}

#[tokio::test]
async fn one_client_does_not_take_all_that_draws_images() {
    let server = serve(colours()).await;
    let app = Arc::clone(&server.app);
    let entry = app.models.find(None).unwrap();
    let [greedy, other] = ["greedy", "other"].map(Arc::<str>::from);
    let patience = tokio::time::Instant::now() + Duration::from_secs(60);
    let (open, is_open) = tokio::sync::watch::channel(false);
    let running = Arc::new(AtomicUsize::new(0));
    let work: Vec<_> = (0..200)
        .map(|_| {
            let (app, entry, client) = (Arc::clone(&app), Arc::clone(&entry), Arc::clone(&greedy));
            let (is_open, running) = (is_open.clone(), Arc::clone(&running));
            tokio::spawn(async move {
                let draw = move || {
                    running.fetch_add(1, SeqCst);
                    while !*is_open.borrow() {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                };
                app.inference.encode(&entry, &client, patience, draw).await
            })
        })
        .collect();
    // Until it has all that it gets.
    let mut before = 0;
    while before == 0 || running.load(SeqCst) != before {
        before = running.load(SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(before < 200, "its images wait");
    let drawn = app.inference.encode(&entry, &other, patience, || 7).await;
    assert_eq!(drawn.ok(), Some(7));
    open.send_replace(true);
    for work in work {
        assert!(work.await.unwrap().is_ok());
    }
}
