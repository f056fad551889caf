//! SIGHUP never ends the server, SIGTERM drains it, and logs never hold up an answer.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::process::{Process, Scratch, model, wait_for};

fn model_words() -> [String; 2] {
    ["--model".to_owned(), format!("tiny={}", model().display())]
}

fn words<'a>(model: &'a [String; 2], more: &[&'a str]) -> Vec<&'a str> {
    model
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect()
}

#[test]
fn a_hundred_hangups_end_nothing_and_fail_no_request() {
    let scratch = Scratch::new("hangups");
    let model = model_words();
    let mut server = scratch.start(&words(&model, &[]));
    server.read_until("ready");
    for _ in 0..100 {
        server.signal("HUP");
        assert_eq!(server.get("/readyz").0, 200);
    }
    server.signal("TERM");
    assert!(server.wait().success());
}

#[test]
fn a_server_that_drains_answers_and_is_not_ready() {
    let scratch = Scratch::new("drain");
    let model = model_words();
    let mut server = scratch.start(&words(&model, &["--drain-delay", "2"]));
    server.read_until("ready");
    let told = Instant::now();
    server.signal("TERM");
    wait_for("the end of readiness", || {
        (server.get("/readyz").0 == 503).then_some(())
    });
    while told.elapsed() < Duration::from_millis(1500) {
        assert_eq!(server.get("/readyz").0, 503);
        assert_eq!(server.get("/v2/models/tiny/ready").0, 200);
    }
    assert!(server.wait().success());
    assert!(told.elapsed() >= Duration::from_secs(2));
}

#[test]
fn a_reader_of_the_log_that_stopped_stops_no_answer() {
    let scratch = Scratch::new("reader");
    let model = model_words();
    let words = words(&model, &["--log-level", "trace"]);
    let mut server = Process::start(scratch.command(&words).stderr(Stdio::piped()));
    server.read_until("ready");
    // Nobody reads the pipe, which takes 64 KiB; the queue takes 4 MiB more.
    let path = format!("/livez?{}", "x".repeat(8000));
    let dropped = wait_for("a dropped line", || {
        for _ in 0..100 {
            assert_eq!(server.get(&path).0, 200);
        }
        let metrics = server.get("/metrics").1;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("onelook_log_lines_dropped_total{log=\"stderr\"}"))?;
        (!line.ends_with(" 0")).then(|| line.to_owned())
    });
    assert!(dropped.contains("stderr"));
    server.signal("TERM");
    assert!(server.wait().success());
}

/// Names and texts of the log files.
fn log_files(scratch: &Scratch) -> Vec<(String, String)> {
    let entries = fs::read_dir(scratch.path("logs")).unwrap();
    let mut files: Vec<(String, String)> = entries
        .map(|entry| {
            let entry = entry.unwrap();
            let text = fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn logrotate_may_rename_or_empty_the_file() {
    let scratch = Scratch::new("logrotate");
    let model = model_words();
    let mut server = scratch.start(&words(&model, &["--log-dir", "logs"]));
    server.read_until("ready");
    let contains = |file: &str, word: &str| {
        let files = log_files(&scratch);
        let text = files
            .iter()
            .find(|(name, _)| name == file)
            .map(|(_, text)| text.as_str());
        text.is_some_and(|text| text.contains(word)).then_some(())
    };
    assert_eq!(server.get("/livez?one").0, 200);
    let name = wait_for("a line", || {
        log_files(&scratch)
            .into_iter()
            .find(|(_, text)| text.contains("livez"))
            .map(|(name, _)| name)
    });
    // create
    let path = scratch.path("logs").join(&name);
    let old = format!("{name}.1");
    fs::rename(&path, scratch.path("logs").join(&old)).unwrap();
    server.signal("HUP");
    wait_for("the new file", || contains(&name, "opened anew"));
    // copytruncate
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(0).unwrap();
    server.get("/readyz");
    wait_for("a line after that", || contains(&name, "readyz"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with('{') && !text.contains('\0'), "{text:?}");
}

#[test]
fn a_full_disk_is_seen_in_the_metrics_and_stops_no_answer() {
    use std::os::unix::fs::symlink;
    let scratch = Scratch::new("disk");
    let model = model_words();
    let mut server = scratch.start(&words(&model, &["--log-dir", "logs"]));
    server.read_until("ready");
    let (name, _) = log_files(&scratch).remove(0);
    let path = scratch.path("logs").join(name);
    fs::remove_file(&path).unwrap();
    symlink("/dev/full", &path).unwrap();
    server.signal("HUP");
    wait_for("the metric", || {
        assert_eq!(server.get("/livez").0, 200);
        let metrics = server.get("/metrics").1;
        let mut lines = metrics.lines();
        let line =
            lines.find(|line| line.starts_with("onelook_log_write_errors_total{log=\"files\"}"));
        line.is_some_and(|line| !line.ends_with(" 0")).then_some(())
    });
    let said = scratch.said("No space left on device");
    assert_eq!(said.matches("No space left on device").count(), 1, "once");
}
