//! What is kept of a stream: events with their frames, counts over time, where objects stay.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use onelook::types::{BoxXyxy, Frame, Instances};
use onelook_server::SnapshotOptions;
use onelook_server::streams::live_frame::LiveFrame;
use onelook_server::streams::snapshots::SnapshotRequest;
use serde_json::{Value, json};

use crate::scripted::{add, card, server};
use crate::support::TestServer;

fn snapshot() -> SnapshotRequest {
    let frame = Frame::filled(64, 48, [90; 3]).unwrap();
    let bbox = BoxXyxy {
        x1: 8.0,
        y1: 8.0,
        x2: 40.0,
        y2: 40.0,
    };
    let found = Instances::new(vec![bbox], vec![0], vec![0.9]).with_track_ids(vec![3]);
    let names = Arc::from(["person".to_owned()]);
    let frame = LiveFrame::new((0, 0.0, 0.0), frame, found.clone(), names);
    SnapshotRequest {
        frame: Arc::new(frame),
        found,
    }
}

async fn patch(server: &TestServer, settings: Value) -> StatusCode {
    let body = Body::from(settings.to_string());
    let request = server.request("PATCH", "/v1/streams/a", body);
    server.send(request).await.status
}

#[tokio::test]
async fn an_event_has_its_frame_with_the_box_and_lists_come_in_pages() {
    let directory = std::env::temp_dir().join(format!("onelook-kept-{}", std::process::id()));
    let options = SnapshotOptions {
        directory: Some(directory.clone()),
        max_bytes: 1 << 20,
    };
    let (server, _) = server(|config| config.event_snapshots = options).await;
    add(&server, "a", json!({})).await;
    let entry = server.app.streams.find("a").unwrap();
    for kind in ["crossed", "entered", "crossed"] {
        entry.record(json!({"event": kind}), None, Some(snapshot()));
        // One at a time, so that none is left out.
        let id = entry.events().list(&filter()).0[0].id;
        let path = format!("/v1/streams/a/events/{id}/snapshot.jpg");
        let shot = server.get(&path).await;
        assert_eq!(shot.status, StatusCode::OK, "{shot:?}");
        assert_eq!(shot.header("content-type"), "image/jpeg");
        let limits = onelook::media::Limits::default();
        let frame = onelook::media::decode(&shot.body, &limits).unwrap();
        assert_eq!((frame.width(), frame.height()), (64, 48));
        let is_drawn = |value: &u8| value.abs_diff(90) > 60;
        assert!(frame.pixels().iter().any(is_drawn), "the box is drawn");
    }
    let page = server
        .get("/v1/streams/a/events?kind=crossed&limit=1")
        .await;
    let page = page.json();
    assert_eq!(
        (&page["events"][0]["id"], &page["next"]),
        (&json!(3), &json!(3))
    );
    let path = "/v1/streams/a/events/3/snapshot.jpg";
    assert_eq!(page["events"][0]["snapshot"], path);
    let next = server
        .get("/v1/streams/a/events?kind=crossed&before=3")
        .await;
    let next = next.json();
    assert_eq!(next["events"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&next["events"][0]["id"], &next["next"]),
        (&json!(1), &Value::Null)
    );
    let new = server.get("/v1/streams/a/events?after=2").await.json();
    assert_eq!(new["events"].as_array().unwrap().len(), 1);
    let all = server.get("/v1/streams/events?limit=2").await.json();
    assert_eq!(all["events"].as_array().unwrap().len(), 2);
    for wrong in [
        "kind=speeding",
        "limit=0",
        "limit=1025",
        "after=x",
        "after=-1",
        "before=9223372036854775808",
        "other=1",
    ] {
        let refused = server.get(&format!("/v1/streams/a/events?{wrong}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    for gone in ["events/9/snapshot.jpg", "events/x/snapshot.jpg"] {
        let status = server.get(&format!("/v1/streams/a/{gone}")).await.status;
        assert!(status.is_client_error(), "{gone}: {status}");
    }
    drop(server);
    std::fs::remove_dir_all(&directory).unwrap();
}

fn filter() -> onelook_server::streams::event_log::EventFilter {
    onelook_server::streams::event_log::EventFilter {
        limit: 1,
        ..Default::default()
    }
}

#[tokio::test]
async fn counts_are_kept_by_the_minute_and_the_hour_and_go_on_with_another_model() {
    let (server, _) = server(|_| {}).await;
    let line = json!({"name": "entrance", "start": [0.1, 0.5], "end": [0.9, 0.5]});
    let zone = json!({"name": "yard", "corners": [[0, 0], [1, 0], [1, 1]]});
    add(&server, "a", json!({"lines": [line], "zones": [zone]})).await;
    card(&server, "a", |card| card["frames_run"].as_u64() > Some(3)).await;
    let history = server.get("/v1/streams/a/history").await.json();
    assert_eq!(history["interval_s"], 60);
    let sample = &history["samples"][0];
    assert!(sample["frames"].as_u64() > Some(0), "{history}");
    assert_eq!(sample["lines"]["entrance"], json!({"in": 0, "out": 0}));
    assert!(sample["zones"]["yard"]["mean"].is_number());
    let hours = server
        .get("/v1/streams/a/history?interval=hour")
        .await
        .json();
    assert_eq!(
        (
            hours["interval_s"].as_u64(),
            hours["samples"][0]["at_s"].as_u64().unwrap() % 3600
        ),
        (Some(3600), 0)
    );
    let later = sample["at_s"].as_u64().unwrap() + 600;
    let none = server
        .get(&format!("/v1/streams/a/history?after={later}"))
        .await;
    assert_eq!(none.json()["samples"], json!([]));
    let wrong = server.get("/v1/streams/a/history?interval=day").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let entry = server.app.streams.find("a").unwrap();
    entry.record(json!({"event": "crossed"}), None, None);
    assert_eq!(
        patch(&server, json!({"model": "other"})).await,
        StatusCode::OK
    );
    let events = server.get("/v1/streams/a/events").await.json();
    assert_eq!(events["events"][0]["event"], "crossed");
    let kept = server.get("/v1/streams/a/history").await.json();
    assert!(!kept["samples"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_heatmap_is_an_image_once_it_is_asked_to_be_kept() {
    let (server, script) = server(|_| {}).await;
    add(&server, "a", json!({})).await;
    let path = "/v1/streams/a/heatmap.png";
    assert_eq!(server.get(path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        patch(&server, json!({"heatmap": {"half_life": -1}})).await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        patch(&server, json!({"heatmap": {"half_life": 60}})).await,
        StatusCode::OK
    );
    let entry = server.app.streams.find("a").unwrap();
    crate::scripted::until(|| entry.heatmap().as_ref().map(|_| ())).await;
    for is_frozen in [false, true] {
        script
            .frozen
            .store(is_frozen, std::sync::atomic::Ordering::SeqCst);
        let map = server.get(path).await;
        assert_eq!(map.status, StatusCode::OK, "{map:?}");
        assert_eq!(map.header("content-type"), "image/png");
        let frame = onelook::media::decode(&map.body, &onelook::media::Limits::default()).unwrap();
        assert_eq!((frame.width(), frame.height()), (64, 48));
    }
    script
        .frozen
        .store(false, std::sync::atomic::Ordering::SeqCst);
}

#[tokio::test]
async fn speeds_need_four_points_of_the_ground_and_tracks() {
    let (server, _) = server(|_| {}).await;
    add(&server, "a", json!({})).await;
    let image = json!([[0.2, 0.9], [0.8, 0.9], [0.6, 0.4], [0.4, 0.4]]);
    let metres = json!([[0.0, 0.0], [7.0, 0.0], [7.0, 20.0], [0.0, 20.0]]);
    let plane = json!({"image": image, "metres": metres});
    let flat = json!({"image": image, "metres": [[0, 0], [1, 0], [2, 0], [3, 0]]});
    let outside =
        json!({"image": [[0.2, 0.9], [0.8, 0.9], [0.6, 0.4], [0.4, 4]], "metres": metres});
    for wrong in [flat, outside] {
        assert_eq!(
            patch(&server, json!({"plane": wrong})).await,
            StatusCode::BAD_REQUEST
        );
    }
    let untracked = json!({"plane": plane, "tracker": "none"});
    assert_eq!(patch(&server, untracked).await, StatusCode::BAD_REQUEST);
    assert_eq!(
        patch(&server, json!({"plane": plane})).await,
        StatusCode::OK
    );
    let shown = card(&server, "a", |card| card["plane"] == plane).await;
    assert_eq!(shown["heatmap"], Value::Null);
    assert_eq!(patch(&server, json!({"plane": null})).await, StatusCode::OK);
}
