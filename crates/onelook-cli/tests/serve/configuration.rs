//! The configuration file and variables: what counts, what is refused, and what SIGHUP makes of them.

use std::fs;
use std::process::Output;

use crate::process::{Process, Scratch, model, wait_for};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A file that names a model, and more.
fn write(scratch: &Scratch, more: &str) {
    let model = format!("model = [\"tiny={}\"]\n", model().display());
    fs::write(scratch.path("onelook.toml"), model + more).unwrap();
}

const CONFIG: [&str; 2] = ["--config", "onelook.toml"];

#[test]
fn what_is_typed_counts_then_variables_then_the_file() {
    let scratch = Scratch::new("precedence");
    write(
        &scratch,
        "host = \"127.0.0.2\"\nmax_images = 3\ntimeout = 2.5\nallow-urls = true\n",
    );
    let start = |variable: Option<(&str, &str)>, words: &[&str]| {
        let mut command = scratch.command(&[&CONFIG[..], words].concat());
        Process::start(command.envs(variable)).address.clone()
    };
    let variable = Some(("ONELOOK_SERVE_HOST", "127.0.0.3"));
    assert!(start(None, &[]).starts_with("127.0.0.2:"));
    assert!(start(variable, &[]).starts_with("127.0.0.3:"));
    assert!(start(variable, &["--host", "127.0.0.4"]).starts_with("127.0.0.4:"));
    assert!(start(None, &["host=127.0.0.4"]).starts_with("127.0.0.4:"));
    let mut command = scratch.command(&[]);
    let own = Process::start(command.env("ONELOOK_SERVE_CONFIG", "onelook.toml"));
    assert!(own.address.starts_with("127.0.0.2:"));
}

#[test]
fn the_file_counts_wherever_the_word_serve_stands() {
    use std::os::unix::process::CommandExt;
    let scratch = Scratch::new("word");
    let model = format!("model = [\"serve={}\"]\n", model().display());
    // A port that is none: it is refused where the file is read.
    fs::write(scratch.path("onelook.toml"), model + "queue = 0\n").unwrap();
    fs::write(scratch.path("serve"), "s3cret").unwrap();
    let words: [&[&str]; 6] = [
        &["serve", "--config", "onelook.toml"],
        &["--quiet", "serve", "--config", "onelook.toml"],
        &["mode=serve", "config=onelook.toml"],
        &["serve", "--host", "serve", "--config=onelook.toml"],
        &["serve", "--token-file", "serve", "--config=onelook.toml"],
        &["serve", "--config=onelook.toml", "--"],
    ];
    for words in words {
        for name in ["onelook", "serve", "/srv/serve"] {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_onelook"));
            command.arg0(name).args(words).arg("--check-config");
            if words.last() == Some(&"--") {
                command = std::process::Command::new(env!("CARGO_BIN_EXE_onelook"));
                command.arg0(name).arg("serve").arg("--check-config");
                command.args(&words[1..]);
            }
            let output = command.current_dir(&scratch.0).output().unwrap();
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{name} {words:?}: {said}");
            assert!(
                said.contains("--queue: expected at least 1"),
                "{name} {words:?}: {said}"
            );
        }
    }
}

#[test]
fn a_file_that_makes_no_sense_is_named_with_what_was_meant() {
    let scratch = Scratch::new("nonsense");
    for (text, reasons) in [
        (
            "metric_port = 1",
            &["'metric_port'", "did you mean 'metrics-port'?"][..],
        ),
        ("zzz = 1", &["'zzz'", "onelook serve --help"]),
        ("port = \"many\"", &["--port", "many"]),
        ("port = 70000", &["--port", "70000"]),
        ("queue = [1, 2]", &["'queue'", "not a list"]),
        ("tls-cert = { a = 1 }", &["'tls-cert'", "expected text"]),
        ("max-batch = 1\nmax_batch = 2", &["two spellings"]),
        ("config = \"other\"", &["'config' cannot be a key"]),
        ("json = true", &["there is no key 'json'"]),
        ("host = ", &["line 2"]),
    ] {
        write(&scratch, text);
        // Words that are typed would count instead.
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_onelook"));
        let words = ["serve", "--config", "onelook.toml", "--check-config"];
        let output = command
            .args(words)
            .current_dir(&scratch.0)
            .output()
            .unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}: {said}");
        assert!(said.contains("'onelook.toml'"), "{text}: {said}");
        for reason in reasons {
            assert!(said.contains(reason), "{text}: {said}");
        }
    }
    let output = scratch
        .command(&["--config", "gone.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("'gone.toml'"));
}

#[test]
fn a_check_finds_everything_and_starts_nothing() {
    let scratch = Scratch::new("check");
    let check = |more: &str, words: &[&str]| {
        write(&scratch, more);
        let words = [&CONFIG[..], &["--check-config"], words].concat();
        scratch.command(&words).output().unwrap()
    };
    let fine = check("queue = 7\n", &[]);
    assert!(fine.status.success(), "{}", stderr(&fine));
    assert_eq!(fine.stdout, b"OK\n");
    let broken = check(
        "token-file = \"no-tokens\"\ntls-cert = \"no.crt\"\ntls-key = \"no.key\"\nlog-level = \"=loud=\"\n",
        &["--model", "gone.pt"],
    );
    let said = stderr(&broken);
    assert_eq!(broken.status.code(), Some(1), "{said}");
    for word in ["no-tokens", "no.", "gone.pt", "--log-level"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(broken.stdout.is_empty());
    // Directories that cannot be written, in the words of the start.
    let spools = "webhook = \"http://127.0.0.1:9/\"\nmqtt = \"mqtt://127.0.0.1:9\"\nevent-spool = \"onelook.toml\"\n\
                  event-snapshots = \"onelook.toml\"\nvideo-spool = \"onelook.toml\"\n";
    let blocked = check(spools, &[]);
    let said = stderr(&blocked);
    assert_eq!(blocked.status.code(), Some(1), "{said}");
    let start = scratch.command(&CONFIG).output().unwrap();
    let first = "webhook: 'onelook.toml/webhook' cannot hold events: Not a directory";
    assert!(stderr(&start).contains(first), "{}", stderr(&start));
    for words in [
        first,
        "mqtt: 'onelook.toml/mqtt' cannot hold events: Not a directory",
        "event snapshots: 'onelook.toml' cannot be used",
        "videos: 'onelook.toml' cannot be used",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let brokers =
        "mqtt = \"mqtts://127.0.0.1:9\"\nevent-spool = \"events\"\nbroker-ca = \"no.pem\"\n";
    for output in [
        check(brokers, &[]),
        scratch.command(&CONFIG).output().unwrap(),
    ] {
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--mqtt: 'no.pem'"), "{said}");
    }
    let usable = check(
        "webhook = \"http://127.0.0.1:9/\"\nevent-spool = \"events/here\"\n",
        &[],
    );
    assert!(usable.status.success(), "{}", stderr(&usable));
    assert!(!scratch.path("events").exists(), "a check makes nothing");
    let half = check("tls-cert = \"no.crt\"\n", &[]);
    assert_eq!(half.status.code(), Some(2));
    assert!(stderr(&half).contains("--tls-key"));
}

#[test]
fn a_variable_that_belongs_to_no_flag_is_warned_of() {
    let scratch = Scratch::new("variable");
    write(&scratch, "");
    let mut command = scratch.command(&[&CONFIG[..], &["--check-config"]].concat());
    let output = command.env("ONELOOK_SERVE_PROT", "1").output().unwrap();
    assert!(output.status.success());
    assert!(stderr(&output).contains("ONELOOK_SERVE_PROT"));
}

#[test]
fn a_variable_whose_value_is_refused_is_named() {
    let scratch = Scratch::new("refused");
    write(&scratch, "");
    for (name, value) in [
        ("ONELOOK_SERVE_QUEUE", "many"),
        ("ONELOOK_SERVE_QUEUE", ""),
        ("ONELOOK_SERVE_ALLOW_URLS", "perhaps"),
        ("ONELOOK_SERVE_LOG_FORMAT", "xml"),
    ] {
        let mut command = scratch.command(&[&CONFIG[..], &["--check-config"]].concat());
        let output = command.env(name, value).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(name), "{value:?}: {said}");
    }
}

#[test]
fn variables_that_kubernetes_adds_for_a_service_are_none_of_ours() {
    let scratch = Scratch::new("links");
    write(&scratch, "");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_onelook"));
    let words = ["serve", "--config", "onelook.toml", "--check-config"];
    command.args(words).current_dir(&scratch.0);
    for (name, value) in [
        ("ONELOOK_SERVE_PORT", "tcp://10.0.0.1:80"),
        ("ONELOOK_SERVE_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("ONELOOK_SERVE_SERVICE_HOST", "10.0.0.1"),
    ] {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_hangup_changes_which_lines_are_logged() {
    let scratch = Scratch::new("levels");
    write(&scratch, "log-level = \"warn\"\nlog-dir = \"logs\"\n");
    let mut server = scratch.start(&CONFIG);
    server.read_until("ready");
    assert_eq!(server.get("/livez?before").0, 200);
    write(&scratch, "log-level = \"info\"\nlog-dir = \"logs\"\n");
    server.signal("HUP");
    scratch.said("configuration: read again");
    assert_eq!(server.get("/readyz").0, 200);
    let said = scratch.said("readyz");
    assert!(
        !said.contains("livez") && !said.contains("at the next start"),
        "{said}"
    );
    let logs = fs::read_dir(scratch.path("logs")).unwrap();
    let log = logs.map(|entry| entry.unwrap().path()).next().unwrap();
    wait_for("the line in the file", || {
        fs::read_to_string(&log)
            .unwrap()
            .contains("readyz")
            .then_some(())
    });
    // One that makes no sense changes nothing.
    write(&scratch, "log-level = \"=loud=\"\nlog-dir = \"logs\"\n");
    server.signal("HUP");
    scratch.said("what was read before stays in use: --log-level");
    assert_eq!(server.get("/docs").0, 200);
    scratch.said("/docs");
}

#[test]
fn a_hangup_reads_the_file_again_and_keeps_the_old_one_if_it_is_broken() {
    let scratch = Scratch::new("reread");
    fs::write(scratch.path("a"), "first").unwrap();
    fs::write(scratch.path("b"), "second").unwrap();
    write(&scratch, "token-file = \"a\"\n");
    let mut server = scratch.start(&CONFIG);
    server.read_until("ready");
    let status = |token: &str| {
        server
            .get_with("/v1/models", &format!("x-api-key: {token}\r\n"))
            .0
    };
    assert_eq!((status("first"), status("second")), (200, 401));
    write(&scratch, "token-file = \"b\"\nqueue = 5\n");
    server.signal("HUP");
    wait_for("the new tokens", || (status("second") == 200).then_some(()));
    assert_eq!(status("first"), 401);
    scratch.said("these keys count at the next start: queue");
    write(&scratch, "token-fiel = \"a\"\n");
    server.signal("HUP");
    scratch.said("did you mean 'token-file'");
    assert_eq!((status("first"), status("second")), (401, 200));
    // A file that no longer asks for tokens does not open the server.
    write(&scratch, "");
    server.signal("HUP");
    scratch.said("a server that needs tokens goes on needing them");
    assert_eq!((status("second"), status("")), (200, 401));
}
