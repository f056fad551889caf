//! Models that cannot be loaded, now or ever, and odd model directories.

use std::fs;

use crate::process::{Scratch, model, wait_for};

#[test]
fn a_sole_model_that_cannot_be_loaded_ends_the_server() {
    let scratch = Scratch::new("sole");
    let output = scratch.command(&["--model", "late.pt"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("late.pt"), "{said}");
    assert!(said.contains("--keep-trying"), "{said}");
}

#[test]
fn a_model_that_appears_later_is_served_where_that_was_asked_for() {
    let scratch = Scratch::new("later");
    let mut server = scratch.start(&["--model", "late.pt", "--keep-trying"]);
    server.read_until("not ready");
    assert_eq!(server.get("/readyz").0, 503);
    fs::copy(model(), scratch.path("late.pt")).unwrap();
    wait_for("the model", || {
        (server.get("/readyz").0 == 200).then_some(())
    });
    server.read_until("model 'late'");
    server.signal("TERM");
    assert!(server.wait().success());
}

#[test]
fn a_broken_default_model_makes_the_server_unready_though_another_serves() {
    let scratch = Scratch::new("default");
    let other = format!("other={}", model().display());
    let mut server = scratch.start(&["--model", "gone.pt", "--model", &other]);
    server.read_until("not ready");
    let (status, body) = server.get("/readyz");
    assert_eq!(status, 503);
    assert!(body.contains("\"ready\":false"), "{body}");
    assert_eq!(server.get("/v2/models/other/ready").0, 200);
    assert_eq!(server.get("/v2/health/ready").0, 503);
}

#[test]
fn an_odd_file_does_not_stop_the_start_and_is_named() {
    let scratch = Scratch::new("odd");
    fs::create_dir_all(scratch.path("models")).unwrap();
    for name in ["good.safetensors", "a b.safetensors"] {
        fs::copy(model(), scratch.path("models").join(name)).unwrap();
    }
    let mut server = scratch.start(&["--model-dir", "models"]);
    server.read_until("ready");
    assert_eq!(server.get("/readyz").0, 200);
    assert_eq!(server.get("/v2/models/good/ready").0, 200);
    scratch.said("\"a b.safetensors\" in 'models' is not served");
}

#[test]
fn a_directory_of_kubernetes_is_served_also_after_its_files_were_swapped() {
    use std::os::unix::fs::symlink;
    let scratch = Scratch::new("kubernetes");
    for version in ["models/..1", "models/..2"] {
        fs::create_dir_all(scratch.path(version)).unwrap();
        fs::copy(model(), scratch.path(version).join("a.safetensors")).unwrap();
    }
    symlink("..1", scratch.path("models/..data")).unwrap();
    symlink("..data/a.safetensors", scratch.path("models/a.safetensors")).unwrap();
    let mut server = scratch.start(&["--model-dir", "models"]);
    server.read_until("ready");
    assert_eq!(server.get("/readyz").0, 200);
    symlink("..2", scratch.path("models/..new")).unwrap();
    fs::rename(scratch.path("models/..new"), scratch.path("models/..data")).unwrap();
    fs::remove_dir_all(scratch.path("models/..1")).unwrap();
    let (status, list) = server.get("/v1/models");
    assert_eq!(status, 200);
    assert_eq!(list.matches("\"name\":").count(), 1, "{list}");
}

#[test]
fn an_empty_directory_says_so() {
    let scratch = Scratch::new("empty");
    fs::create_dir_all(scratch.path("models")).unwrap();
    let mut server = scratch.start(&["--model-dir", "models"]);
    server.read_until("ready");
    scratch.said("no model was found in --model-dir 'models': it is empty");
}
