//! What systemd is told over its socket, by a path and by an abstract name.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::Duration;

use crate::process::{Process, Scratch, model, wait_for};

/// Reads messages up to one that has this line.
fn read_until(socket: &UnixDatagram, line: &str) -> String {
    let mut buffer = [0; 1000];
    loop {
        let read = socket
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("no {line}: {error}"));
        let message = String::from_utf8_lossy(&buffer[..read]).into_owned();
        if message.lines().any(|own| own == line) {
            return message;
        }
    }
}

fn tell_all(scratch: &Scratch, socket: &UnixDatagram, address: &str) {
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let model = format!("tiny={}", model().display());
    let mut command = scratch.command(&["--model", &model, "--drain-delay", "0.2"]);
    command.env("NOTIFY_SOCKET", address);
    command.env("WATCHDOG_USEC", "400000");
    command.stderr(fs::File::create(scratch.path("stderr")).unwrap());
    let mut server = Process::start(&mut command);
    assert!(read_until(socket, "READY=1").contains("STATUS=ready"));
    for _ in 0..3 {
        read_until(socket, "WATCHDOG=1");
    }
    server.signal("HUP");
    assert!(read_until(socket, "RELOADING=1").contains("MONOTONIC_USEC="));
    read_until(socket, "READY=1");
    server.signal("TERM");
    read_until(socket, "STOPPING=1");
    assert!(server.wait().success());
}

#[test]
fn systemd_is_told_over_a_path() {
    let scratch = Scratch::new("systemd");
    let path = scratch.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    tell_all(&scratch, &socket, &path.display().to_string());
}

#[test]
fn systemd_is_told_over_an_abstract_name() {
    let scratch = Scratch::new("abstract");
    let name = format!("onelook-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    tell_all(&scratch, &socket, &format!("@{name}"));
}

/// Messages that have arrived by now.
fn arrived(socket: &UnixDatagram) -> Vec<String> {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 1000];
    let mut messages = Vec::new();
    while let Ok(read) = socket.recv(&mut buffer) {
        messages.push(String::from_utf8_lossy(&buffer[..read]).into_owned());
    }
    socket.set_nonblocking(false).unwrap();
    messages
}

fn says_ready(messages: &[String]) -> bool {
    let mut messages = messages.iter();
    messages.any(|message| message.contains("READY=1") || message.contains("RELOADING=1"))
}

/// Sends SIGHUP and waits until files have been read again so often, and that has been told.
fn hang_up(scratch: &Scratch, server: &Process, times: usize) {
    server.signal("HUP");
    wait_for("the reading", || {
        let said = fs::read_to_string(scratch.path("stderr")).unwrap();
        (said.matches("configuration: read again").count() >= times).then_some(())
    });
}

#[test]
fn a_hangup_tells_neither_too_early_nor_too_late_that_the_server_is_ready() {
    let scratch = Scratch::new("phases");
    let path = scratch.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    fs::write(scratch.path("onelook.toml"), "").unwrap();
    // A pipe: loading waits until somebody writes.
    let made = Command::new("mkfifo").arg(scratch.path("slow.pt")).status();
    assert!(made.unwrap().success());
    let model = format!("tiny={}", model().display());
    let words = [
        "--config=onelook.toml",
        "--model",
        &model,
        "--model=slow.pt",
    ];
    let mut command = scratch.command(&[&words[..], &["--drain-delay=1"]].concat());
    command.env("NOTIFY_SOCKET", &path);
    command.stderr(fs::File::create(scratch.path("stderr")).unwrap());
    let mut server = Process::start(&mut command);
    // What follows the first reading has been sent when the second is done.
    hang_up(&scratch, &server, 1);
    hang_up(&scratch, &server, 2);
    assert!(!says_ready(&arrived(&socket)), "it is still loading");
    drop(
        fs::File::options()
            .write(true)
            .open(scratch.path("slow.pt")),
    );
    read_until(&socket, "READY=1");
    server.signal("TERM");
    read_until(&socket, "STOPPING=1");
    hang_up(&scratch, &server, 3);
    assert!(server.wait().success());
    assert!(!says_ready(&arrived(&socket)), "it stops");
}

#[test]
fn systemd_is_not_told_that_a_server_is_ready_which_ends() {
    let scratch = Scratch::new("hopeless");
    let path = scratch.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut command = scratch.command(&["--model", "gone.pt"]);
    let output = command.env("NOTIFY_SOCKET", &path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 1000];
    while let Ok(read) = socket.recv(&mut buffer) {
        let message = String::from_utf8_lossy(&buffer[..read]).into_owned();
        assert!(!message.contains("READY=1"), "{message}");
    }
}
