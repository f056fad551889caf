//! `--show`: what goes to the window, and how a window that is closed ends the run. The player is a script.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use onelook::media::video::Ffmpeg;
use test_support::ScratchDir;

struct Scratch(ScratchDir);

impl Scratch {
    /// A directory with a clip, an image, and `script` as the player.
    fn new(name: &str, script: &str) -> Option<Self> {
        if Ffmpeg::find(None).is_err() {
            test_support::skip("ffmpeg", "install it: apt install ffmpeg");
            return None;
        }
        let scratch = Self(ScratchDir::new(name));
        let programs = scratch.0.join("programs");
        fs::create_dir(&programs).unwrap();
        for program in ["ffmpeg", "ffprobe"] {
            let path = std::env::var_os("PATH").unwrap();
            let mut found = std::env::split_paths(&path).map(|it| it.join(program));
            let found = found.find(|path| path.is_file()).unwrap();
            std::os::unix::fs::symlink(found, programs.join(program)).unwrap();
        }
        let player = programs.join("ffplay");
        fs::write(&player, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&player, fs::Permissions::from_mode(0o755)).unwrap();
        let made = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-y", "-f", "lavfi"])
            .args(["-i", "testsrc2=s=64x48:r=10:d=2", "-c:v", "mpeg4"])
            .arg(scratch.0.join("clip.mp4"))
            .args(["-frames:v", "1"])
            .arg(scratch.0.join("image.png"))
            .status();
        assert!(made.unwrap().success());
        Some(scratch)
    }

    fn predict(&self, words: &str, display: Option<&str>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onelook"));
        command
            .args(["predict", "model=yolo11n.yaml", "imgsz=64", "device=cpu"])
            .args(words.split_whitespace())
            .arg("ffmpeg=programs")
            .current_dir(&self.0);
        for variable in ["DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"] {
            command.env_remove(variable);
        }
        if let Some(display) = display {
            command.env("DISPLAY", display);
        }
        command.output().unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn frames_go_to_the_player_and_the_run_ends_with_the_video() {
    let script = r#"echo "$@" > words; cat > shown.nut"#;
    let Some(scratch) = Scratch::new("show", script) else {
        return;
    };
    let output = scratch.predict("source=clip.mp4 show=True save=False", Some(":1"));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let words = fs::read_to_string(scratch.0.join("words")).unwrap();
    assert!(words.contains("-autoexit -x 64 -y 48"), "{words}");
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-f", "nut", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=codec_name,width,height"])
        .arg(scratch.0.join("shown.nut"))
        .output()
        .unwrap();
    let probed = String::from_utf8(probed.stdout).unwrap();
    assert_eq!(probed.trim(), "rawvideo,64,48");
}

#[test]
fn a_window_that_is_closed_ends_the_run_as_a_signal_does() {
    // It takes the first bytes and goes. The source has no end.
    let Some(scratch) = Scratch::new("closed", "head -c 1000 > /dev/null") else {
        return;
    };
    let list = "clip.mp4\n".repeat(2000);
    fs::write(scratch.0.join("list.txt"), list).unwrap();
    let output = scratch.predict("source=list.txt show=True save_csv save=False", Some(":1"));
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(
        said(&output).contains("the window was closed"),
        "{}",
        said(&output)
    );
    let table = scratch.0.join("runs/detect/predict/predictions.csv");
    assert!(table.is_file());
}

#[test]
fn an_image_is_shown_until_its_window_is_closed() {
    let script = "cat > shown.nut; echo closed > closed";
    let Some(scratch) = Scratch::new("image", script) else {
        return;
    };
    let output = scratch.predict("source=image.png show=True save=False", Some(":1"));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(scratch.0.join("closed").is_file());
    let shown = fs::metadata(scratch.0.join("shown.nut")).unwrap().len();
    assert!(shown > 64 * 48 * 3, "{shown}");
}

#[test]
fn a_player_that_fails_says_why_and_without_a_screen_there_is_advice() {
    let script = "echo 'Could not initialize SDL' >&2; exit 1";
    let Some(scratch) = Scratch::new("fails", script) else {
        return;
    };
    let words = "source=image.png show=True save=False";
    let output = scratch.predict(words, Some(":1"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("--show: the window is gone: Could not initialize SDL"),
        "{}",
        said(&output)
    );
    let output = scratch.predict(words, None);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--hls DIR"), "{}", said(&output));
}
