//! Videos that are cut or lie, and programs in place of ffmpeg that die, hang, flood or lie: an error in words,
//! and no process is left.

use super::*;

#[test]
fn what_cannot_be_read_says_why_and_how_much_was_read() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let sound = scratch.path("sound.mp4");
    let sine = [
        "-v", "error", "-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac",
    ];
    let made = Command::new("ffmpeg")
        .args(sine)
        .arg(&sound)
        .status()
        .unwrap();
    assert!(made.success());
    assert_eq!(
        read(stream(&sound)),
        (Vec::new(), Some(VideoError::NoVideo))
    );

    let whole = scratch.clip("whole.mkv", "320x240", 4, "-c:v libx264 -g 10");
    let bytes = fs::read(&whole).unwrap();
    let cut = scratch.path("cut.mkv");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let (frames, failure) = read(stream(&cut));
    let Some(VideoError::Damaged {
        frames: told,
        expected,
        reason,
    }) = failure
    else {
        panic!("{failure:?}")
    };
    assert!(frames.len() > 5 && frames.len() < 40);
    assert_eq!(told, frames.len() as u64);
    assert!(
        expected.is_none_or(|expected| expected == 40),
        "{expected:?}"
    );
    assert!(!reason.is_empty());

    for (name, bytes) in [
        ("empty.mp4", &[][..]),
        ("text.mp4", b"not a video"),
        ("half.mp4", &bytes[..300]),
    ] {
        let path = scratch.path(name);
        fs::write(&path, bytes).unwrap();
        let (frames, failure) = read(stream(&path));
        assert_eq!(frames.len(), 0);
        assert!(
            matches!(failure, Some(VideoError::Refused { .. })),
            "{name}: {failure:?}"
        );
    }
    let (_, failure) = read(stream(&scratch.path("absent.mp4")));
    assert!(failure.unwrap().to_string().contains("No such file"));

    let limited = stream_by(Ffmpeg::find(None).unwrap(), &whole, |options| {
        options.limits.max_pixels = 320 * 240 - 1;
    });
    let (_, failure) = read(limited);
    assert!(matches!(
        failure,
        Some(VideoError::TooManyPixels { width: 320, .. })
    ));
}

#[test]
fn a_file_that_names_others_opens_none() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let other = scratch.clip("other.mp4", "64x48", 1, X264);
    let other = other.display();
    let playlist =
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n");
    let list = "ffconcat version 1.0\nfile other.mp4\n".to_owned();
    let manifest = format!(
        r#"<?xml version="1.0"?><MPD profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"
        type="static" mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4">
        <Representation id="1" bandwidth="1000"><BaseURL>{other}</BaseURL></Representation>
        </AdaptationSet></Period></MPD>"#
    );
    for (name, text) in [("hls", playlist), ("concat", list), ("dash", manifest)] {
        let path = scratch.path(&format!("{name}.mp4"));
        fs::write(&path, text).unwrap();
        let (frames, failure) = read(stream(&path));
        assert_eq!(frames.len(), 0, "{name}");
        let said = failure.unwrap().to_string();
        // Not every ffmpeg knows all of them.
        assert!(
            said.contains(&format!("its format is '{name}'")) || name == "dash",
            "{said}"
        );
    }
}

#[test]
fn an_ffmpeg_that_is_killed_in_the_middle_leaves_the_frames_before() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let path = scratch.clip("a.mp4", "64x48", 2, X264);
    // Nine frames and a half, then SIGKILL.
    let ffmpeg = scratch.fake("PATH=/usr/bin:/bin:$PATH; real=$(PATH=${PATH#*/bin:} command -v ffmpeg)\n\"$real\" \"$@\" | head -c 88000; kill -9 $$");
    let (frames, failure) = read(stream_by(ffmpeg, &path, |_| {}));
    assert_eq!(frames.len(), 9);
    let Some(VideoError::Died {
        frames: told,
        status,
        ..
    }) = failure
    else {
        panic!("{failure:?}")
    };
    assert_eq!(told, 9);
    assert!(status.contains("signal: 9"), "{status}");
}

/// Whether a process of this number is there, be it only as a zombie.
fn exists(pid: &str) -> bool {
    Path::new("/proc").join(pid.trim()).exists()
}

#[test]
fn an_ffmpeg_that_hangs_is_frozen_and_leaves_no_process() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let path = scratch.clip("a.mp4", "64x48", 1, X264);
    let pid = scratch.path("pid");
    let script = format!(
        "sleep 1000 & echo $! $$ > {}; trap '' TERM INT; wait",
        pid.display()
    );
    let ffmpeg = scratch.fake(&script);
    let stream = stream_by(ffmpeg, &path, |options| {
        options.start_timeout = Duration::from_millis(500);
    });
    let observer = stream.observer();
    let (frames, failure) = read(stream);
    assert_eq!(frames.len(), 0);
    assert!(
        matches!(failure, Some(VideoError::Frozen { frames: 0, .. })),
        "{failure:?}"
    );
    assert_eq!(observer.status().state, StreamState::Frozen);
    let deadline = Instant::now() + Duration::from_secs(20);
    for pid in fs::read_to_string(&pid).unwrap().split_whitespace() {
        // A grandchild is reaped by whoever adopts it.
        while exists(pid)
            && fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| !stat.contains(") Z"))
        {
            assert!(Instant::now() < deadline, "{pid} is left");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn stopping_ends_the_wait_for_an_ffmpeg_that_hangs() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let path = scratch.clip("a.mp4", "64x48", 1, X264);
    let ffmpeg = scratch.fake("exec sleep 1000");
    let stream = stream_by(ffmpeg, &path, |_| {});
    let handle = stream.stop_handle();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        handle.stop();
    });
    assert_eq!(read(stream), (Vec::new(), None));
}

#[test]
fn an_ffmpeg_that_floods_or_lies_is_an_error_in_bounds() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let path = scratch.clip("a.mp4", "64x48", 1, X264);
    for (script, expected) in [
        (
            "yes 'all is lost' | head -c 30000000 >&2; exit 1",
            "all is lost",
        ),
        ("head -c 1000000 /dev/urandom", "is no NUT stream"),
        (
            "printf 'nut/multimedia container\\0NM'; head -c 100 /dev/zero; exit 0",
            "cannot be read",
        ),
        ("exit 3", "said nothing (exit status: 3)"),
        (
            "echo \"Unrecognized option 'fps_mode'.\" >&2; exit 1",
            "install version 5.1",
        ),
        // What a camera answers, also in a line of its own.
        (
            "printf \"[rtsp @ 0x5] method DESCRIBE failed: 404 Unrecognized option 'fps_mode'.\\nUnrecognized option 'fps_mode'.\\n\" >&2; exit 1",
            "cannot be opened: Unrecognized option",
        ),
        (
            "echo '[rtsp @ 0x5] 404 0 matches no streams' >&2; exit 1",
            "cannot be opened: [rtsp",
        ),
        (
            "case \"$*\" in *'-max_pixels '*' -protocol_whitelist file '*' -i '*) echo limited >&2;; esac; exit 1",
            "cannot be opened: limited",
        ),
    ] {
        let place = scratch.path("bin");
        let _ = fs::remove_dir_all(&place);
        let ffmpeg = scratch.fake(script);
        let (frames, failure) = read(stream_by(ffmpeg, &path, |_| {}));
        let said = failure.unwrap().to_string();
        assert!(
            frames.is_empty() && said.contains(expected),
            "{script}: {said}"
        );
    }
}

#[test]
fn a_missing_ffmpeg_says_how_to_install_it() {
    let error = Ffmpeg::find(Some(Path::new("/nonexistent/ffmpeg")))
        .unwrap_err()
        .to_string();
    for part in [
        "'/nonexistent/ffmpeg'",
        "apt install ffmpeg",
        "brew install ffmpeg",
        "ONELOOK_FFMPEG",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_is_not_asked_for_any_more_leaves_no_ffmpeg() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let path = scratch.clip("a.mp4", "320x240", 20, X264);
    let name = path.display().to_string();
    let mut stream = stream(&path);
    assert!(matches!(stream.next_frame(None), Next::Frame(_)));
    assert!(is_running_with(&name));
    drop(stream);
    let deadline = Instant::now() + Duration::from_secs(20);
    while is_running_with(&name) {
        assert!(Instant::now() < deadline, "ffmpeg is left");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the words of some process, that is no zombie, hold this one.
fn is_running_with(word: &str) -> bool {
    let mut processes = fs::read_dir("/proc").unwrap().flatten();
    processes.any(|process| {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(word)
    })
}

#[test]
fn a_camera_that_sends_frames_too_large_is_refused_before_they_are_decoded() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let path = scratch.clip("a.ts", "4096x2304", 1, X264);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("TCP://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut &connection, &fs::read(&path).unwrap());
        }
    });
    let address = VideoAddress::from_url(&url).unwrap();
    let mut decode = DecodeOptions::for_address(&address);
    decode.limits.max_pixels = 1 << 20;
    decode.start_timeout = Duration::from_secs(60);
    let options = StreamOptions::for_address(&address);
    let (frames, failure) = read(VideoStream::open(
        Ffmpeg::find(None).unwrap(),
        address,
        decode,
        options,
    ));
    assert!(frames.is_empty());
    let expected = VideoError::TooManyPixels {
        width: 4096,
        height: 2304,
        max_pixels: 1 << 20,
    };
    assert_eq!(failure, Some(expected));
}

#[test]
fn a_file_with_damaged_bytes_gives_what_can_be_had_and_says_so() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let path = scratch.clip("a.mkv", "320x240", 4, "-c:v libx264 -g 10");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    // Enough for several frames, and the headers of the container stay.
    for byte in &mut bytes[middle..middle + 4000] {
        *byte = byte.wrapping_mul(31).wrapping_add(7);
    }
    fs::write(&path, &bytes).unwrap();
    let (frames, failure) = read(stream(&path));
    assert!(frames.len() >= 15, "{}", frames.len());
    let told = frames.len() as u64;
    assert!(
        matches!(failure, Some(VideoError::Damaged { frames, .. }) if frames == told),
        "{failure:?}"
    );
}

#[test]
fn a_file_that_knows_no_rate_and_no_length_gives_all_its_frames() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let uneven = "-vf settb=1/1000,setpts=N*N*37 -fps_mode passthrough -enc_time_base 1:1000 -c:v libx264 -live 1 -f matroska";
    let path = scratch.clip("a.mkv", "64x48", 2, uneven);
    let (frames, failure) = read(stream(&path));
    assert_eq!((frames.len(), failure), (20, None));
    let seconds = |frame: &VideoFrame| frame.time.unwrap().as_secs_f64();
    for (number, frame) in frames.iter().enumerate() {
        let expected = (number * number) as f64 * 0.037;
        assert!((seconds(frame) - expected).abs() < 0.001, "{number}");
    }
}
