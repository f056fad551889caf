//! Decoders that do as they are told, and a server that opens its streams with them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use onelook::media::StopHandle;
use onelook::media::video::{
    Backoff, Decoder, Delivery, OpenDecoder, StreamOptions, VideoError, VideoFrame, VideoStream,
};
use onelook::types::PixelFormat;
use onelook_server::Config;
use serde_json::Value;

use crate::support::{TestResponse, TestServer, config, fixture, serve};

/// What the streams of a server do.
#[derive(Clone, Default)]
pub struct Script {
    /// Paths of addresses that were opened, in order.
    pub opened: Arc<Mutex<Vec<String>>>,
    /// How many decoders there are now.
    pub alive: Arc<AtomicUsize>,
    /// No frame comes while this is set.
    pub frozen: Arc<AtomicBool>,
}

struct Camera {
    script: Script,
    url: String,
    given: u64,
}

impl OpenDecoder for Camera {
    fn open(&mut self, _: &StopHandle) -> Result<Box<dyn Decoder>, VideoError> {
        self.script.opened.lock().unwrap().push(self.url.clone());
        if self.url.ends_with("/refused") {
            let reason = "'rtsp://***@cam.lan/refused': 401".to_owned();
            return Err(VideoError::Refused { reason });
        }
        self.script.alive.fetch_add(1, SeqCst);
        Ok(Box::new(Self {
            script: self.script.clone(),
            url: self.url.clone(),
            given: 0,
        }))
    }
}

impl Decoder for Camera {
    fn next_frame(&mut self, mut pixels: Vec<u8>) -> Result<Option<VideoFrame>, VideoError> {
        std::thread::sleep(Duration::from_millis(5));
        while self.script.frozen.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.url.ends_with("/short") && self.given == 3 {
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
            number: 0,
            time: Some(Duration::from_millis(40 * (self.given - 1))),
            arrived: Instant::now(),
        }))
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        if self.given > 0 {
            self.script.alive.fetch_sub(1, SeqCst);
        }
    }
}

/// A server with the synthetic models, which may be given streams of cam.lan.
pub async fn server(change: impl FnOnce(&mut Config)) -> (TestServer, Script) {
    let mut config = config(&[
        ("tiny", fixture("tiny.model")),
        ("other", fixture("tiny.model")),
    ]);
    config.allow_stream_hosts = vec!["cam.lan".parse().unwrap()];
    let list = config.stream_file.take();
    change(&mut config);
    assert_eq!(list, None);
    let server = serve(config).await;
    let script = Script::default();
    let own = script.clone();
    server.app.streams.open_with(move |config| {
        let camera = Camera {
            script: own.clone(),
            url: config.url.clone(),
            given: 0,
        };
        let is_file = config.url.ends_with("/short");
        let options = StreamOptions {
            delivery: Delivery::LatestFrame,
            reconnect: (!is_file).then(Backoff::default),
            must_start: false,
        };
        Ok(VideoStream::with_decoder(Box::new(camera), options))
    });
    (server, script)
}

impl Script {
    /// Waits until there are so many decoders.
    pub async fn wait_alive(&self, count: usize) {
        until(|| (self.alive.load(SeqCst) == count).then_some(())).await;
    }
}

/// Waits until there is something; a test that waits in vain fails.
pub async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..3000 {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come within 30 s");
}

/// Adds a stream of cam.lan.
pub async fn add(server: &TestServer, name: &str, more: Value) -> TestResponse {
    let mut body =
        serde_json::json!({"name": name, "url": format!("rtsp://me:s3cret@cam.lan/{name}")});
    let (Value::Object(members), Value::Object(more)) = (&mut body, more) else {
        unreachable!("both are objects");
    };
    members.extend(more);
    let body = body.to_string();
    server.post("/v1/streams", "application/json", body).await
}

/// What is told of a stream once it fits.
pub async fn card(server: &TestServer, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/v1/streams/{name}");
    for _ in 0..3000 {
        let card = server.get(&path).await.json();
        if fits(&card) {
            return card;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{name} did not become as expected within 30 s");
}
