//! Tokens: a mistake never opens the server, and what their files hold now is what counts.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::process::{Process, Scratch, model, wait_for};

fn start(scratch: &Scratch, words: &[&str]) -> Process {
    let model = format!("tiny={}", model().display());
    let mut server = scratch.start(&[&["--model", &model], words].concat());
    server.read_until("ready");
    server
}

fn status(server: &Process, token: &str) -> u16 {
    let header = format!("x-api-key: {token}\r\n");
    server.get_with("/v1/models", &header).0
}

fn metric(server: &Process, token: &str, name: &str) -> String {
    let header = format!("x-api-key: {token}\r\n");
    let text = server.get_with("/metrics", &header).1;
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split(' ').next_back())
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_secret_that_is_missing_keeps_the_server_from_starting() {
    let scratch = Scratch::new("missing");
    for (file, text) in [
        ("empty", ""),
        ("comments", "# none\n\n"),
        ("open", "s3cret\n"),
    ] {
        fs::write(scratch.path(file), text).unwrap();
        fs::set_permissions(scratch.path(file), Permissions::from_mode(0o600)).unwrap();
    }
    fs::set_permissions(scratch.path("open"), Permissions::from_mode(0o666)).unwrap();
    let refused = |words: &[&str], variable: Option<(&str, &str)>| {
        let model = format!("tiny={}", model().display());
        let mut command = scratch.command(&[&["--model", &model], words].concat());
        command.envs(variable);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{words:?} {variable:?}: {said}"
        );
        said
    };
    for (file, reason) in [
        ("empty", "holds no token"),
        ("comments", "holds no token"),
        ("nowhere", "No such file"),
        ("open", "can write it"),
    ] {
        let said = refused(&["--token-file", file], None);
        assert!(said.contains(file) && said.contains(reason), "{said}");
    }
    for name in ["ONELOOK_TOKEN", "ONELOOK_TOKENS"] {
        for text in ["", " \n", "# none"] {
            let said = refused(&[], Some((name, text)));
            assert!(
                said.contains(name) && said.contains("holds no token"),
                "{said}"
            );
        }
    }
}

#[test]
fn a_file_that_everybody_can_read_is_warned_of() {
    let scratch = Scratch::new("readable");
    fs::write(scratch.path("tokens"), "s3cret\n").unwrap();
    fs::set_permissions(scratch.path("tokens"), Permissions::from_mode(0o644)).unwrap();
    let server = start(&scratch, &["--token-file", "tokens"]);
    assert_eq!(status(&server, "s3cret"), 200);
    let said = scratch.said("'tokens': every user of this machine can read it");
    assert!(!said.contains("s3cret"));
}

#[test]
fn changed_tokens_count_and_broken_ones_do_not() {
    let scratch = Scratch::new("changed");
    fs::write(scratch.path("tokens"), "one first\n").unwrap();
    let server = start(&scratch, &["--token-file", "tokens"]);
    assert_eq!(
        (status(&server, "first"), status(&server, "second")),
        (200, 401)
    );
    // Replaced, without a signal.
    fs::write(scratch.path("new"), "one second\n").unwrap();
    fs::rename(scratch.path("new"), scratch.path("tokens")).unwrap();
    wait_for("the new token", || {
        (status(&server, "second") == 200).then_some(())
    });
    assert_eq!(status(&server, "first"), 401);
    // Written in place: broken, empty, gone.
    let failed = "onelook_reload_failed{what=\"tokens\"}";
    for broken in [Some("one second everything\n"), Some(""), None] {
        match broken {
            Some(text) => fs::write(scratch.path("tokens"), text).unwrap(),
            None => fs::remove_file(scratch.path("tokens")).unwrap(),
        }
        wait_for("the metric", || {
            (metric(&server, "second", failed) == "1").then_some(())
        });
        assert_eq!((status(&server, "second"), status(&server, "")), (200, 401));
        assert!(
            scratch
                .said("what was read before stays in use")
                .contains("ERROR")
        );
        fs::write(scratch.path("tokens"), "one second\n").unwrap();
        wait_for("the repair", || {
            (metric(&server, "second", failed) == "0").then_some(())
        });
    }
}

#[test]
fn tokens_in_a_directory_of_kubernetes_are_read_when_it_is_swapped() {
    let scratch = Scratch::new("swapped");
    for (version, token) in [("..1", "first"), ("..2", "second")] {
        fs::create_dir(scratch.path(version)).unwrap();
        fs::write(scratch.path(version).join("tokens"), token).unwrap();
    }
    symlink("..1", scratch.path("..data")).unwrap();
    symlink("..data/tokens", scratch.path("tokens")).unwrap();
    let server = start(&scratch, &["--token-file", "tokens"]);
    assert_eq!(status(&server, "first"), 200);
    symlink("..2", scratch.path("..new")).unwrap();
    fs::rename(scratch.path("..new"), scratch.path("..data")).unwrap();
    wait_for("the new token", || {
        (status(&server, "second") == 200).then_some(())
    });
    assert_eq!(status(&server, "first"), 401);
}

#[test]
fn a_hangup_reads_tokens_at_once() {
    let scratch = Scratch::new("hangup-tokens");
    fs::write(scratch.path("tokens"), "first").unwrap();
    let server = start(&scratch, &["--token-file", "tokens"]);
    let before = metric(
        &server,
        "first",
        "onelook_reloads_total{outcome=\"ok\",what=\"tokens\"}",
    );
    assert_eq!(before, "");
    server.signal("HUP");
    wait_for("the reading", || {
        let name = "onelook_reloads_total{outcome=\"ok\",what=\"tokens\"}";
        (metric(&server, "first", name) == "1").then_some(())
    });
}
