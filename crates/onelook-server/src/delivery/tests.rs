//! A receiver that is away, refuses, and comes back.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use prometheus::Opts;
use serde_json::json;

use super::*;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What a receiver got: headers and body.
type Received = Arc<Mutex<Vec<(HeaderMap, String)>>>;

fn counter() -> IntCounterVec {
    IntCounterVec::new(Opts::new("events", "events"), &["receiver", "outcome"]).unwrap()
}

fn options(name: &str, port: u16) -> DeliveryOptions {
    let spool = std::env::temp_dir().join(format!("onelook-webhook-{name}-{}", std::process::id()));
    DeliveryOptions {
        webhook: Some(WebhookOptions {
            url: format!("http://127.0.0.1:{port}/events?from=onelook"),
            key: Some(WebhookKey::parse(KEY).unwrap()),
        }),
        spool,
        max_spool_bytes: 1 << 20,
        ..DeliveryOptions::default()
    }
}

/// Answers with each status in turn, then with 200.
async fn receive(listener: tokio::net::TcpListener, statuses: &'static [u16]) -> Received {
    let received = Received::default();
    let (seen, count) = (Arc::clone(&received), Arc::new(AtomicUsize::new(0)));
    let route = post(move |headers: HeaderMap, body: String| async move {
        let status = statuses.get(count.fetch_add(1, Ordering::SeqCst));
        let status = StatusCode::from_u16(*status.unwrap_or(&200)).unwrap();
        if status.is_success() {
            seen.lock().unwrap().push((headers, body));
        }
        status
    });
    let router = Router::new().route("/events", route);
    tokio::spawn(async move { axum::serve(listener, router).await });
    received
}

async fn wait_for(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it never happened"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn events_wait_for_their_receiver_and_are_signed() {
    // A port that nobody listens on yet.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (options, events) = (options("away", address.port()), counter());
    let sinks = EventSinks::start(&options, &events).unwrap();
    for number in 0..5 {
        sinks.publish(&json!({"number": number}));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let received = receive(listener, &[503]).await;
    wait_for(|| received.lock().unwrap().len() == 5).await;
    let received = received.lock().unwrap().clone();
    let key = WebhookKey::parse(KEY).unwrap();
    let mut ids = std::collections::HashSet::new();
    for (number, (headers, body)) in received.iter().enumerate() {
        assert_eq!(*body, json!({"number": number}).to_string());
        let header = |name: &str| headers[name].to_str().unwrap();
        let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
        let expected = key.sign(id, timestamp.parse().unwrap(), body.as_bytes());
        assert_eq!(header("webhook-signature"), expected);
        assert_eq!(header("content-type"), "application/json");
        assert!(ids.insert(id.to_owned()), "{id} came twice");
    }
    assert_eq!(sinks.flush(Duration::from_secs(60)).await, []);
    assert_eq!(events.with_label_values(&["webhook", "delivered"]).get(), 5);
    std::fs::remove_dir_all(&options.spool).unwrap();
}

#[tokio::test]
async fn what_was_published_is_on_disk_before_the_end() {
    // Nobody listens there.
    let (options, events) = (options("stored", 9), counter());
    let sinks = EventSinks::start(&options, &events).unwrap();
    for number in 0..1000 {
        sinks.publish(&json!({"number": number}));
    }
    assert!(sinks.store(Duration::from_secs(60)).await);
    let spool = options.spool.join("webhook");
    let files = std::fs::read_dir(spool).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let segments = paths.filter(|path| path.extension().is_some_and(|it| it == "jsonl"));
    let lines = segments.map(|path| std::fs::read_to_string(path).unwrap().lines().count());
    assert_eq!(lines.sum::<usize>(), 1000);
    std::fs::remove_dir_all(&options.spool).unwrap();
}

#[tokio::test]
async fn an_event_that_is_refused_for_good_does_not_stop_the_others() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let received = receive(listener, &[422, 422, 422]).await;
    let (options, events) = (options("refused", port), counter());
    let sinks = EventSinks::start(&options, &events).unwrap();
    sinks.publish(&json!("wrong"));
    sinks.publish(&json!("right"));
    assert_eq!(sinks.flush(Duration::from_secs(60)).await, []);
    assert_eq!(received.lock().unwrap()[0].1, "\"right\"");
    assert_eq!(events.with_label_values(&["webhook", "refused"]).get(), 1);
    std::fs::remove_dir_all(&options.spool).unwrap();
}
