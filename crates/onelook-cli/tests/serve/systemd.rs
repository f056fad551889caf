//! What systemd is told over its socket, by a path and by an abstract name.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::process::{Process, Scratch, model};

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
