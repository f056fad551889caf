//! Events of `onelook count` and `track` to other programs: a webhook that gets them all, one that is away, and
//! flags that make no sense.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

use onelook::media::video::Ffmpeg;
use serde_json::Value;
use test_support::{ScratchDir, data_file};

/// A directory that goes when the test ends.
struct Scratch(ScratchDir);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(ScratchDir::new(name))
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_onelook"))
            .args(words)
            .current_dir(&self.0)
            .output()
            .unwrap()
    }
}

/// Answers requests with 200, and tells id and body of each.
fn receiver() -> (String, Receiver<(String, Value)>) {
    receiver_while(Arc::new(AtomicBool::new(true)))
}

/// The same; while it is not open, with 503.
fn receiver_while(is_open: Arc<AtomicBool>) -> (String, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = tell.send(answer(stream.unwrap(), is_open.load(Ordering::SeqCst)));
        }
    });
    (url, told)
}

fn answer(stream: TcpStream, is_open: bool) -> (String, Value) {
    let mut reader = BufReader::new(stream);
    let (mut id, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("webhook-id") => id = value.to_owned(),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let status = if is_open { "200 OK" } else { "503 Away" };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    reader.get_mut().write_all(head.as_bytes()).unwrap();
    (id, serde_json::from_slice(&body).unwrap())
}

/// What flags say for a short run over real frames, or nothing where there is no data.
fn words(command: &str) -> Option<Vec<String>> {
    let clip = data_file("tracking/PETS09-S2L1/pets09-s2l1-300.mp4")?;
    let model = data_file("weights/yolov8n.pt")?;
    let words = [
        "--imgsz",
        "320",
        "--vid-stride",
        "4",
        "--no-save",
        "--no-verbose",
    ];
    let mut all = vec![command.to_owned()];
    for (flag, path) in [("--source", clip), ("--model", model)] {
        all.extend([flag.to_owned(), path.display().to_string()]);
    }
    all.extend(words.map(str::to_owned));
    Some(all)
}

#[test]
fn a_webhook_gets_every_event_once_and_with_an_id_of_its_own() {
    let Some(mut words) = words("count") else {
        return;
    };
    let scratch = Scratch::new("webhook");
    let (url, told) = receiver();
    for word in [
        "--line",
        "a=345,0,345,576",
        "--line",
        "b=200,0,200,576",
        "--events",
        "events.jsonl",
        "--webhook",
        &url,
    ] {
        words.push(word.to_owned());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = scratch.run(&words);
    assert!(ended.status.success(), "{ended:?}");
    let expected = fs::read_to_string(scratch.0.join("events.jsonl")).unwrap();
    let told: Vec<(String, Value)> = told.try_iter().collect();
    assert!(expected.lines().count() > 0);
    assert_eq!(told.len(), expected.lines().count());
    let ids: BTreeSet<&String> = told.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), told.len());
    for (line, (_, event)) in expected.lines().zip(&told) {
        let line: Value = serde_json::from_str(line).unwrap();
        for key in ["time", "place", "event", "frame", "track_id"] {
            assert_eq!(event[key], line[key], "{key}");
        }
        assert!(event["stream"].is_string() && event["name"].is_string());
    }
}

#[test]
fn events_that_could_not_be_delivered_wait_and_the_run_says_so() {
    let Some(mut words) = words("track") else {
        return;
    };
    let scratch = Scratch::new("away");
    // Nobody listens there.
    for word in [
        "--webhook",
        "http://127.0.0.1:1/",
        "--event-spool",
        "spool",
        "--event-wait",
        "0.1",
    ] {
        words.push(word.to_owned());
    }
    let first: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = scratch.run(&first);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("webhook did not get all events") && said.contains("spool"),
        "{said}"
    );
    // They come with the next run, before its own.
    let (url, told) = receiver();
    let wait = words.iter().position(|word| word == "0.1").unwrap();
    let address = words
        .iter()
        .position(|word| word.starts_with("http:"))
        .unwrap();
    (words[wait], words[address]) = ("60".to_owned(), url);
    let second: Vec<&str> = words.iter().map(String::as_str).collect();
    assert!(scratch.run(&second).status.success());
    let events: Vec<Value> = told.try_iter().map(|(_, event)| event).collect();
    assert!(events.len() >= 2 && events.len().is_multiple_of(2));
    let (before, own) = events.split_at(events.len() / 2);
    assert_eq!(before, own);
    assert!(own.iter().all(|event| event["event"] == "appeared"));
}

/// With a signal, since a run that is killed tells again what lies behind its last checkpoint.
#[test]
fn a_run_that_goes_on_loses_no_event_and_tells_none_twice() {
    let Some(mut words) = words("track") else {
        return;
    };
    if Ffmpeg::find(None).is_err() {
        return test_support::skip("ffmpeg", "install it: apt install ffmpeg");
    }
    let scratch = Scratch::new("resumed");
    let objects = |told: &Receiver<(String, Value)>| -> Vec<[u64; 2]> {
        let number = |event: &Value, key: &str| event[key].as_u64().unwrap();
        let events = told.try_iter();
        let events = events.map(|(_, event)| ["frame", "track_id"].map(|key| number(&event, key)));
        events.collect()
    };
    let (url, told) = receiver();
    words.extend(["--event-wait", "60", "--webhook"].map(str::to_owned));
    let run = |url: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onelook"));
        command
            .args(&words)
            .arg(url)
            .args(more)
            .current_dir(&scratch.0);
        command
    };
    assert!(run(&url, &[]).status().unwrap().success());
    let expected = objects(&told);
    assert!(expected.len() > 5, "{expected:?}");
    let is_open = Arc::new(AtomicBool::new(false));
    let (url, told) = receiver_while(is_open.clone());
    let resume = ["--resume", "--checkpoint-every", "3600"];
    let mut child = run(&url, &resume).spawn().unwrap();
    // An event was refused: the run has begun.
    told.recv().unwrap();
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    // On a machine that is busy elsewhere it may have come to its end, with events that wait.
    let code = child.wait().unwrap().code();
    assert!([Some(130), Some(1)].contains(&code), "{code:?}");
    let _refused = objects(&told);
    is_open.store(true, Ordering::SeqCst);
    if code == Some(1) {
        return;
    }
    assert!(run(&url, &resume).status().unwrap().success());
    assert_eq!(objects(&told), expected);
    let left = fs::read_dir(scratch.0.join("runs/detect/track")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn flags_that_make_no_sense_are_refused_with_what_to_do() {
    let scratch = Scratch::new("refused");
    fs::write(scratch.0.join("tracks.txt"), "1,1,0,0,9,9,1\n").unwrap();
    fs::write(scratch.0.join("empty"), "\n").unwrap();
    let source = ["count", "--line", "a=0,0,9,9", "--source", "clip.mp4"];
    let cases: [(&[&str], &str); 8] = [
        (
            &["--mqtt", "mqtt://me:secret@127.0.0.1"],
            "file or a variable",
        ),
        (&["--mqtt", "127.0.0.1"], "expected mqtt://"),
        (
            &["--mqtt-discovery", "homeassistant"],
            "--mqtt, which is not given",
        ),
        (
            &[
                "--mqtt",
                "mqtt://me@127.0.0.1",
                "--mqtt-password-file",
                "empty",
            ],
            "first line",
        ),
        (&["--webhook", "ftp://127.0.0.1/"], "http://"),
        (
            &["--webhook", "http://127.0.0.1/", "--event-spool-size", "0"],
            "at least 1",
        ),
        (
            &["--mqtt", "mqtt://127.0.0.1", "--broker-results", "1000"],
            "0 to 100",
        ),
        (&["--publish", "http://127.0.0.1/a"], "--publish: expected"),
    ];
    for (more, part) in cases {
        // Only once a model was found is it looked where things go.
        let model = ["--model", "yolo11n.yaml"];
        let clip = scratch.0.join("clip.mp4");
        fs::write(&clip, b"").unwrap();
        let ended = scratch.run(&[&source[..], &model, more].concat());
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(
            !ended.status.success() && said.contains(part),
            "{more:?}: {said}"
        );
        assert!(!said.contains("secret"), "{said}");
    }
    let recorded = [
        "count",
        "--line",
        "a=0,0,9,9",
        "--tracks",
        "tracks.txt",
        "--webhook",
        "http://127.0.0.1/",
    ];
    let ended = scratch.run(&recorded);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("--source"), "{said}");
}
