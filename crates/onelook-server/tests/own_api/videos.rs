//! `/v1/videos` with decoders that do as they are told: bounds, owners, results, ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use onelook::media::StopHandle;
use onelook::media::video::{
    Decoder, Delivery, Ffmpeg, OpenDecoder, StreamOptions, VideoError, VideoFrame, VideoStream,
};
use onelook::types::PixelFormat;
use onelook_server::{Config, VideoOptions};
use serde_json::{Value, json};

use crate::support::{TestResponse, TestServer, config, fixture, serve, tokens};

/// What begins like an MP4.
const FILE: &[u8] = b"\0\0\0\x20ftypisom and so on";
const FRAMES: u64 = 10;

#[derive(Clone, Default)]
struct Script {
    /// No frame comes after the third while this is set.
    holds: Arc<AtomicBool>,
    breaks: Arc<AtomicBool>,
}

struct Film {
    script: Script,
    given: u64,
}

impl OpenDecoder for Film {
    fn open(&mut self, _: &StopHandle) -> Result<Box<dyn Decoder>, VideoError> {
        Ok(Box::new(Self {
            script: self.script.clone(),
            given: 0,
        }))
    }
}

impl Decoder for Film {
    fn next_frame(&mut self, mut pixels: Vec<u8>) -> Result<Option<VideoFrame>, VideoError> {
        while self.given == 3 && self.script.holds.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.given == 3 && self.script.breaks.load(SeqCst) {
            let reason = "'it': broken".to_owned();
            return Err(VideoError::Refused { reason });
        }
        if self.given == FRAMES {
            return Ok(None);
        }
        pixels.clear();
        pixels.resize(64 * 48 * 3, (self.given * 7 % 251) as u8);
        self.given += 1;
        Ok(Some(VideoFrame {
            width: 64,
            height: 48,
            format: PixelFormat::Rgb,
            pixels,
            number: self.given - 1,
            time: Some(Duration::from_millis(100 * (self.given - 1))),
            arrived: Instant::now(),
        }))
    }
}

async fn server(change: impl FnOnce(&mut Config)) -> (TestServer, Script) {
    let mut config = config(&[("tiny", fixture("tiny.model"))]);
    change(&mut config);
    let server = serve(config).await;
    let script = Script::default();
    let own = script.clone();
    server.app.videos.open_with(move |path, container| {
        assert_eq!(container, "mov");
        assert!(std::fs::read(path).unwrap().starts_with(b"\0\0\0\x20ftyp"));
        let film = Film {
            script: own.clone(),
            given: 0,
        };
        let options = StreamOptions {
            delivery: Delivery::EveryFrame {
                ahead: 3,
                bytes: u64::MAX,
            },
            reconnect: None,
            must_start: true,
        };
        Ok(VideoStream::with_decoder(Box::new(film), options))
    });
    (server, script)
}

async fn send(server: &TestServer, query: &str, body: &'static [u8]) -> TestResponse {
    let path = format!("/v1/videos{query}");
    server.post(&path, "application/octet-stream", body).await
}

/// What is told of a video once it is in this state.
async fn state(server: &TestServer, id: &Value, state: &str) -> Value {
    let path = format!("/v1/videos/{}", id.as_str().unwrap());
    for _ in 0..3000 {
        let card = server.get(&path).await.json();
        if card["state"] == state {
            return card;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the video did not become {state} within 30 s");
}

async fn results(server: &TestServer, id: &Value, offset: usize) -> Vec<Value> {
    let path = format!(
        "/v1/videos/{}/results?offset={offset}",
        id.as_str().unwrap()
    );
    let answer = server.get(&path).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_video_becomes_a_line_for_each_frame_and_is_deleted() {
    let spool = std::env::temp_dir().join(format!("onelook-video-{}", std::process::id()));
    let own = spool.clone();
    let (server, _) = server(|config| config.videos.spool = Some(own)).await;
    let settings =
        r#"?name=gate.mp4&settings={"lines":[{"name":"l","start":[0.1,0.5],"end":[0.9,0.5]}]}"#;
    let settings = settings
        .replace('"', "%22")
        .replace('{', "%7B")
        .replace('}', "%7D");
    let sent = send(&server, &settings, FILE).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{sent:?}");
    let id = sent.json()["id"].clone();
    let done = state(&server, &id, "done").await;
    assert_eq!(
        (&done["frames"], &done["name"]),
        (&json!(FRAMES), &json!("gate.mp4"))
    );
    assert_eq!(done["counts"]["lines"][0]["name"], "l");
    let lines = results(&server, &id, 0).await;
    assert_eq!(
        (&lines[0]["video"]["width"], &lines[0]["video"]["file"]),
        (&json!(64), &json!("gate.mp4"))
    );
    let times: Vec<f64> = lines
        .iter()
        .filter_map(|line| line["time"].as_f64())
        .collect();
    let expected: Vec<f64> = (0..FRAMES).map(|frame| frame as f64 / 10.0).collect();
    assert_eq!(times, expected);
    assert!(
        lines
            .iter()
            .filter(|line| line["frame"].is_number())
            .all(|line| line["detections"].is_array())
    );
    assert_eq!(lines.last().unwrap()["summary"]["frames"], FRAMES);
    let bytes = done["results_bytes"].as_u64().unwrap() as usize;
    assert!(results(&server, &id, bytes).await.is_empty());
    let path = format!(
        "/v1/videos/{}/results?offset={}",
        id.as_str().unwrap(),
        bytes + 1
    );
    assert_eq!(server.get(&path).await.status, StatusCode::BAD_REQUEST);
    let files = || {
        let directories = std::fs::read_dir(&spool)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        directories
            .flat_map(|path| std::fs::read_dir(path).unwrap())
            .filter(|entry| entry.as_ref().unwrap().file_name() != "lock")
            .count()
    };
    assert_eq!(files(), 1, "only the results are left");
    let path = format!("/v1/videos/{}", id.as_str().unwrap());
    let request = server.request("DELETE", &path, Body::empty());
    assert_eq!(server.send(request).await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.get(&path).await.status, StatusCode::NOT_FOUND);
    for _ in 0..3000 {
        if files() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(files(), 0);
    std::fs::remove_dir_all(&spool).unwrap();
}

#[tokio::test]
async fn a_lower_frame_rate_leaves_frames_out() {
    let (server, _) = server(|_| {}).await;
    let sent = send(
        &server,
        "?settings=%7B%22fps%22:5,%22tracker%22:%22none%22%7D",
        FILE,
    )
    .await;
    let id = sent.json()["id"].clone();
    assert_eq!(state(&server, &id, "done").await["frames"], FRAMES / 2);
}

#[tokio::test]
async fn a_client_runs_one_at_a_time_and_ends_its_own_only() {
    let (server, script) = server(|config| {
        config.secrets = tokens("one 1111 infer\nother 2222 infer\nreader 3333 read");
    })
    .await;
    let ask = async |method: &str, path: &str, token: &str, body: &'static [u8]| {
        let mut request = server.request(method, path, Body::from(body));
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        request.headers_mut().insert("authorization", value);
        server.send(request).await
    };
    script.holds.store(true, SeqCst);
    let first = ask("POST", "/v1/videos", "1111", FILE).await.json();
    let second = ask("POST", "/v1/videos", "1111", FILE).await.json();
    let other = ask("POST", "/v1/videos", "2222", FILE).await.json();
    let path = |card: &Value| format!("/v1/videos/{}", card["id"].as_str().unwrap());
    let becomes = async |card: &Value, token: &str, wanted: &str| {
        for _ in 0..3000 {
            let now = ask("GET", &path(card), token, b"").await.json();
            if now["state"] == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not become {wanted}");
    };
    becomes(&first, "1111", "running").await;
    becomes(&other, "2222", "running").await;
    becomes(&second, "1111", "queued").await;
    for (method, token) in [("GET", "2222"), ("DELETE", "2222"), ("GET", "3333")] {
        let refused = ask(method, &path(&first), token, b"").await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{method} {token}");
    }
    assert_eq!(
        ask("POST", "/v1/videos", "3333", FILE).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        ask("DELETE", &path(&first), "1111", b"").await.status,
        StatusCode::NO_CONTENT
    );
    becomes(&second, "1111", "running").await;
    script.holds.store(false, SeqCst);
    becomes(&second, "1111", "done").await;
    becomes(&other, "2222", "done").await;
}

#[tokio::test]
async fn what_is_no_video_too_large_too_many_or_broken_is_told() {
    let (server, script) = server(|config| {
        config.videos = VideoOptions {
            max_bytes: 64,
            ..VideoOptions::default()
        };
    })
    .await;
    const LARGE: &[u8] = &[0; 65];
    for (query, body, status) in [
        (
            "",
            b"#EXTM3U\nfile:///etc/passwd".as_slice(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        ("", b"", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("", LARGE, StatusCode::PAYLOAD_TOO_LARGE),
        ("?settings=[]", FILE, StatusCode::BAD_REQUEST),
        (
            "?settings=%7B%22url%22:%22x%22%7D",
            FILE,
            StatusCode::BAD_REQUEST,
        ),
        (
            "?settings=%7B%22fps%22:-1%7D",
            FILE,
            StatusCode::BAD_REQUEST,
        ),
        (
            "?settings=%7B%22model%22:%22gone%22%7D",
            FILE,
            StatusCode::NOT_FOUND,
        ),
        ("?other=1", FILE, StatusCode::BAD_REQUEST),
    ] {
        let refused = send(&server, query, body).await;
        assert_eq!(refused.status, status, "{query}: {refused:?}");
    }
    let list = server.get("/v1/videos").await.json();
    assert_eq!(
        list,
        json!({"videos": [], "max_bytes": 64}),
        "none was kept"
    );
    script.breaks.store(true, SeqCst);
    let broken = send(&server, "", FILE).await.json();
    let failed = state(&server, &broken["id"], "failed").await;
    assert!(
        failed["error"].as_str().unwrap().contains("broken"),
        "{failed}"
    );
    script.breaks.store(false, SeqCst);
    script.holds.store(true, SeqCst);
    for _ in 0..3 {
        assert_eq!(send(&server, "", FILE).await.status, StatusCode::ACCEPTED);
    }
    let refused = send(&server, "", FILE).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    // The server can stop all the same.
    server.app.videos.stop();
    script.holds.store(false, SeqCst);
}

#[tokio::test]
async fn what_begins_like_a_video_and_lists_another_file_does_not_open_it() {
    if Ffmpeg::find(None).is_err() {
        return test_support::skip("ffmpeg", "install it: apt install ffmpeg");
    }
    let server = serve(config(&[("tiny", fixture("tiny.model"))])).await;
    let other = std::env::temp_dir().join(format!("onelook-other-{}.mp4", std::process::id()));
    let made = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"])
        .args(["testsrc2=s=64x48:r=10:d=1", "-c:v", "mpeg4"])
        .arg(&other)
        .status();
    assert!(made.unwrap().success());
    let send = async |body: Vec<u8>| {
        let sent = server.post("/v1/videos", "application/octet-stream", body);
        let sent = sent.await;
        assert_eq!(sent.status, StatusCode::ACCEPTED, "{sent:?}");
        sent.json()["id"].clone()
    };
    // By its own bytes it is a video.
    let id = send(std::fs::read(&other).unwrap()).await;
    assert_eq!(state(&server, &id, "done").await["frames"], 10);
    // Packets of a transport stream in a comment before a DASH list.
    let list = format!(
        "<!--G{}G--><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
         profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\" type=\"static\" \
         mediaPresentationDuration=\"PT1S\" minBufferTime=\"PT1S\"><Period>\
         <AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"1000\" \
         codecs=\"mp4v\" width=\"64\" height=\"48\"><BaseURL>{}</BaseURL></Representation>\
         </AdaptationSet></Period></MPD>",
        " ".repeat(191),
        other.display(),
    );
    let id = send(list.into_bytes()).await;
    let failed = state(&server, &id, "failed").await;
    assert_eq!(failed["frames"], 0, "{failed}");
    std::fs::remove_file(&other).unwrap();
}

#[tokio::test]
async fn a_server_may_take_no_videos() {
    let (server, _) = server(|config| config.videos.max_bytes = 0).await;
    let refused = send(&server, "", FILE).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("--max-video")
    );
}
