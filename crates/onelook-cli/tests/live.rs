//! Live streams on the command line: opened again when they end, and what is saved of them kept within bounds. The
//! cameras are sockets that send a clip and close. Needs ffmpeg and ffprobe with libx264; without them the tests
//! say SKIPPED, and fail in CI.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use onelook::media::video::Ffmpeg;
use serde_json::Value;
use test_support::ScratchDir;

/// Frames that a camera sends before it closes.
const FRAMES: usize = 10;

struct Scratch(ScratchDir);

impl Scratch {
    fn new(name: &str) -> Option<Self> {
        if Ffmpeg::find(None).is_err() {
            test_support::skip("ffmpeg", "install it: apt install ffmpeg");
            return None;
        }
        Some(Self(ScratchDir::new(name)))
    }

    /// A camera that answers every connection with `head` and a clip.
    fn camera(&self, head: &'static str) -> SocketAddr {
        let clip = self.0.join("clip.ts");
        let made = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-y", "-f", "lavfi"])
            .args(["-i", "testsrc2=s=64x48:r=10:d=1", "-c:v", "libx264"])
            .arg(&clip)
            .status();
        assert!(made.unwrap().success());
        let clip = fs::read(clip).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                if !head.is_empty() {
                    let _ = connection.read(&mut [0; 4096]);
                }
                let _ = connection.write_all(head.as_bytes());
                let _ = connection.write_all(&clip);
            }
        });
        address
    }

    fn predict(&self, words: &str) -> Child {
        let child = Command::new(env!("CARGO_BIN_EXE_onelook"))
            .args([
                "predict",
                "model=yolo11n.yaml",
                "imgsz=64",
                "device=cpu",
                "--json",
            ])
            .args(words.split_whitespace())
            .current_dir(&self.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        child.unwrap()
    }
}

/// The frames that it tells of until there are so many; then a signal ends it.
fn frames(mut child: Child, count: usize) -> Vec<Value> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let values = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap());
    let mut values = values.filter(|value: &Value| value["frame"].is_number());
    let mut frames: Vec<Value> = values.by_ref().take(count).collect();
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    frames.extend(values);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    frames
}

#[test]
fn a_camera_by_http_is_opened_again_when_it_ends() {
    let Some(scratch) = Scratch::new("http") else {
        return;
    };
    let camera = scratch.camera("HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n");
    let list = format!("# the gate\nHTTP://{camera}/cgi-bin/video.cgi?stream=1\n");
    fs::write(scratch.0.join("cameras.streams"), list).unwrap();
    let child = scratch.predict("source=cameras.streams stream_buffer save=False");
    let frames = frames(child, 2 * FRAMES + 1);
    let last = &frames[2 * FRAMES];
    assert_eq!(last["frame"], 2 * FRAMES as u64 + 1);
    assert!(last["time"].as_f64() > frames[0]["time"].as_f64());
}

#[test]
fn a_server_that_says_nothing_keeps_no_ffmpeg_of_a_run_that_was_killed() {
    let Some(scratch) = Scratch::new("publish") else {
        return;
    };
    let camera = scratch.camera("");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let words = format!("source=tcp://{camera} save=False publish=rtsp://{address}/a");
    let mut child = scratch.predict(&words);
    let (mut connection, _) = server.accept().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let patience = Duration::from_secs(60);
    connection.set_read_timeout(Some(patience)).unwrap();
    let mut asked = Vec::new();
    connection.read_to_end(&mut asked).unwrap();
}

#[test]
fn what_is_saved_of_a_camera_is_cut_into_files_and_the_oldest_go() {
    let Some(scratch) = Scratch::new("quota") else {
        return;
    };
    let camera = scratch.camera("");
    let words = format!(
        "source=tcp://{camera} stream_buffer save_frames video_minutes=0.005 save_quota=120KiB"
    );
    let frames = frames(scratch.predict(&words), 3 * FRAMES + 1);
    let root = scratch.0.join("runs/detect/predict");
    let stem = camera.to_string().replace(':', "_");
    let images = root.join(format!("{stem}_frames"));
    let last = frames.len();
    assert!(images.join(format!("{last}.jpg")).is_file());
    assert!(!images.join("1.jpg").exists());
    let size = |directory: &PathBuf| -> u64 {
        let entries = fs::read_dir(directory).unwrap();
        let files = entries.map(|entry| entry.unwrap().metadata().unwrap());
        files.filter(fs::Metadata::is_file).map(|it| it.len()).sum()
    };
    let total = size(&root) + size(&images);
    assert!(total <= 120 << 10, "{total}");
    let entries = fs::read_dir(&root).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let videos: Vec<String> = names.filter(|name| name.ends_with(".mp4")).collect();
    // The camera came back three times at least, each time after a second or more.
    assert!(
        videos
            .iter()
            .any(|name| name.contains("-3.mp4") || name.contains("-4.mp4")),
        "{videos:?}"
    );
    assert!(
        !videos.iter().any(|name| name.starts_with(".onelook")),
        "{videos:?}"
    );
}
