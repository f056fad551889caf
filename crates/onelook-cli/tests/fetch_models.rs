//! Models by name, from a registry and a server of this test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;

const BODY: &[u8] = b"not a model, but this is only about fetching";
const HASH: &str = "e8c9e693890dcf9d5aa20deab22f4f649027210b84b5935e382fc727ff394d55";

fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BODY.len());
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(BODY);
        }
    });
    address
}

/// A directory with a registry of one model whose hash is `sha256`.
fn place(name: &str, sources: &str, sha256: &str) -> PathBuf {
    let root = std::env::temp_dir().join(format!("onelook-fetch-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let registry = format!(
        r#"{{"models": [{{"name": "tiny", "file": "tiny.pt", "task": "detect", "size": {},
            "sha256": {sha256}, "licence": "CC0-1.0", "instead": null, "sources": [{sources}]}}]}}"#,
        BODY.len()
    );
    std::fs::write(root.join("models.json"), registry).unwrap();
    root
}

fn fetch(root: &std::path::Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_onelook"))
        .args(["models", "fetch", "tiny"])
        .env("ONELOOK_REGISTRY", root.join("models.json"))
        .env("ONELOOK_MODELS", root.join("cache"))
        .output()
        .unwrap()
}

fn url(address: &str) -> String {
    format!(r#"{{"kind": "url", "url": "{address}/tiny.pt"}}"#)
}

#[test]
fn the_next_source_is_tried_and_the_hash_checked() {
    let sources = format!("{}, {}", url("http://127.0.0.1:1"), url(&server()));
    let root = place("next", &sources, &format!("\"{HASH}\""));
    let output = fetch(&root);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("could not be fetched from http://127.0.0.1:1"),
        "{said}"
    );
    assert!(said.contains("as the registry says"), "{said}");
    assert_eq!(std::fs::read(root.join("cache/tiny.pt")).unwrap(), BODY);
    assert_eq!(std::fs::read_dir(root.join("cache")).unwrap().count(), 1);
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn a_file_with_another_hash_never_reaches_the_cache() {
    let root = place("hash", &url(&server()), &format!("\"{}\"", "0".repeat(64)));
    let output = fetch(&root);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("its SHA-256 is"), "{said}");
    assert_eq!(std::fs::read_dir(root.join("cache")).unwrap().count(), 0);
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn a_model_without_a_known_hash_is_said_to_be_unpinned() {
    let root = place("unpinned", &url(&server()), "null");
    let output = fetch(&root);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(HASH) && said.contains("not pinned"), "{said}");
    std::fs::remove_dir_all(&root).unwrap();
}

/// A cached file that was cut or changed is fetched again, once, and that is said.
#[test]
fn a_cached_file_that_was_cut_or_changed_is_fetched_again() {
    let mut changed = BODY.to_vec();
    changed[7] ^= 1;
    for (pinned, hash) in [(true, format!("\"{HASH}\"")), (false, "null".to_owned())] {
        let root = place("again", &url(&server()), &hash);
        assert!(fetch(&root).status.success());
        let cached = root.join("cache/tiny.pt");
        for damaged in [&BODY[..9], &[], &changed] {
            std::fs::write(&cached, damaged).unwrap();
            let output = fetch(&root);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{pinned}: {said}");
            assert!(
                said.contains("warning: '") && said.contains("it is fetched again"),
                "{said}"
            );
            assert_eq!(said.matches("fetching http").count(), 1, "{said}");
            assert_eq!(std::fs::read(&cached).unwrap(), BODY);
        }
        let output = fetch(&root);
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::remove_dir_all(&root).unwrap();
    }
}

/// `predict` too looks at the file before it loads it.
#[test]
fn a_damaged_file_that_cannot_be_fetched_again_is_told_as_such() {
    let root = place("gone", &url("http://127.0.0.1:1"), "null");
    std::fs::create_dir_all(root.join("cache")).unwrap();
    std::fs::write(root.join("cache/tiny.pt"), &BODY[..9]).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_onelook"))
        .args(["predict", "model=tiny", "source=/dev/null", "save=False"])
        .env("ONELOOK_REGISTRY", root.join("models.json"))
        .env("ONELOOK_MODELS", root.join("cache"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("it has 9 bytes, expected 44"), "{said}");
    assert!(said.contains("could not be fetched again"), "{said}");
    std::fs::remove_dir_all(&root).unwrap();
}
