//! What is written: NUT that ffmpeg reads, and videos with the times and the sound of the original.

use super::*;

#[test]
fn ffmpeg_reads_the_nut_that_is_written_here_and_writes_what_is_read() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let video = NutVideo {
        fourcc: *b"RGB\x18",
        width: 33,
        height: 17,
        time_base: TimeBase {
            numerator: 1,
            denominator: 90_000,
        },
    };
    let path = scratch.path("a.nut");
    let mut writer = NutWriter::new(Vec::new(), video).unwrap();
    let pts: [u64; 5] = [0, 3000, 3001, 90_000 * 3600, 90_000 * 3600 + 7];
    let frame = |value: u8| vec![value; 33 * 17 * 3];
    for (value, pts) in pts.iter().enumerate() {
        writer.write_frame(*pts, &frame(value as u8)).unwrap();
    }
    fs::write(&path, writer.into_inner()).unwrap();
    let copied = scratch.path("b.nut");
    let copy = ["-c", "copy", "-f", "nut", "-y"];
    let done = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-copyts", "-i"])
        .arg(&path)
        .args(copy)
        .arg(&copied)
        .status()
        .unwrap();
    assert!(done.success());
    let bytes = fs::read(&copied).unwrap();
    let mut reader = NutReader::new(&bytes[..]).unwrap();
    assert_eq!((reader.video().width, reader.video().height), (33, 17));
    let base = reader.video().time_base;
    for (value, pts) in pts.iter().enumerate() {
        let mut pixels = Vec::new();
        let read = reader
            .read_frame(33 * 17 * 3, &mut pixels)
            .unwrap()
            .unwrap();
        let difference = base.seconds(read) - video.time_base.seconds(*pts as i64);
        assert!(difference.abs() < 0.000_02, "{value}: {read}");
        assert_eq!(pixels, frame(value as u8));
    }
    assert_eq!(reader.read_frame(33 * 17 * 3, &mut Vec::new()), Ok(None));
}

#[test]
fn a_written_video_has_the_times_and_the_sound_of_the_original() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let uneven = "-f lavfi -i sine=d=3 -vf settb=1/90000,setpts=N*3600+floor(N/7)*29970+63000 -fps_mode passthrough -enc_time_base 1:90000 -c:v libx264 -c:a aac";
    let original = scratch.clip("original.mkv", "64x48", 2, uneven);
    let ffmpeg = Ffmpeg::find(None).unwrap();
    for (name, complete) in [
        ("whole.mp4", true),
        ("ended.mp4", false),
        ("joined.mp4", true),
    ] {
        let path = scratch.path(name);
        let mut stream = stream(&original);
        let mut writer = None;
        let mut count = 0;
        while let Next::Frame(frame) = stream.next_frame(None) {
            let info = stream.info().unwrap();
            let options = WriterOptions {
                fps: info.fps,
                audio: info.audio.map(|codec| (original.clone(), codec)),
                in_parts: name == "joined.mp4",
                ..WriterOptions::default()
            };
            let time = frame.time;
            let frame = frame.into_frame().unwrap();
            let open = writer.get_or_insert_with(|| {
                VideoWriter::create(&ffmpeg, &path, [64, 48], options).unwrap()
            });
            open.write(&frame, time).unwrap();
            count += 1;
            if name == "joined.mp4" && [1, 2, 7, 13].contains(&count) {
                // As after the end of the program.
                let state = open.end_part().unwrap().clone();
                *open = VideoWriter::resume(&ffmpeg, state);
            }
            if !complete && count == 8 {
                break;
            }
        }
        assert!(!path.exists());
        let finished = writer.unwrap().finish(complete).unwrap();
        if name == "joined.mp4" {
            assert_eq!(finished.parts.len(), 5);
            finished
                .parts
                .iter()
                .for_each(|part| fs::remove_file(part).unwrap());
        }
        let expected = times(&original);
        let written = times(&path);
        assert_eq!(written.len(), if complete { expected.len() } else { 8 });
        for (written, expected) in written.iter().zip(&expected) {
            assert!(
                (written - expected).abs() < 0.001,
                "{name}: {written} {expected}"
            );
        }
        let stop = StopHandle::default();
        let info = VideoInfo::of(&VideoAddress::File(path.clone()), &ffmpeg, &stop).unwrap();
        assert_eq!(info.audio.as_deref(), Some("aac"));
        let most = if complete {
            f64::MAX
        } else {
            expected[8] + 0.2
        };
        let length = sound_length(&path);
        assert!(
            length <= most && length > 0.5,
            "{name}: {length} s of sound"
        );
        let files = fs::read_dir(&scratch.0).unwrap();
        assert!(
            files
                .flatten()
                .all(|file| !file.file_name().to_string_lossy().contains("part"))
        );
    }
}

/// Writes five frames with the sound of `original`; tells why there is none.
fn written_with_sound_of(original: PathBuf, codec: &str, path: &Path) -> Option<String> {
    let options = WriterOptions {
        fps: Some(5.0),
        audio: Some((original, codec.to_owned())),
        ..WriterOptions::default()
    };
    let ffmpeg = Ffmpeg::find(None).unwrap();
    let mut writer = VideoWriter::create(&ffmpeg, path, [64, 48], options).unwrap();
    let frame = Frame::filled(64, 48, [200, 30, 30]).unwrap();
    for _ in 0..5 {
        writer.write(&frame, None).unwrap();
    }
    writer.finish(true).unwrap().without_sound
}

#[test]
fn an_encoder_that_takes_no_frames_is_ended() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let ffmpeg = scratch.fake("case \"$*\" in *-encoders*) exit;; esac; exec sleep 1000");
    let options = WriterOptions {
        stall_timeout: Duration::from_millis(200),
        ..WriterOptions::default()
    };
    let path = scratch.path("a.mp4");
    let mut writer = VideoWriter::create(&ffmpeg, &path, [640, 480], options).unwrap();
    let frame = Frame::filled(640, 480, [200, 30, 30]).unwrap();
    let failure = writer.write(&frame, None).unwrap_err().to_string();
    assert!(
        failure.contains("a.mp4' cannot be written: ffmpeg took no frame"),
        "{failure}"
    );
}

#[test]
fn of_several_sound_tracks_the_first_is_taken_over() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    // MP4 takes the first as it is, the second not at all.
    let words =
        "-f lavfi -i sine=d=1 -map 0:v -map 1:a -map 1:a -c:v libx264 -c:a:0 aac -c:a:1 pcm_s16le";
    let original = scratch.clip("original.mkv", "64x48", 1, words);
    let path = scratch.path("written.mp4");
    assert_eq!(written_with_sound_of(original, "aac", &path), None);
    let info = VideoInfo::of(
        &VideoAddress::File(path),
        &Ffmpeg::find(None).unwrap(),
        &StopHandle::default(),
    );
    assert_eq!(info.unwrap().audio.as_deref(), Some("aac"));
}

#[test]
fn sound_that_cannot_be_taken_over_is_left_out_and_files_of_others_stay() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let others = ["written.part.mp4", "written.whole.mp4"];
    for name in others {
        fs::write(scratch.path(name), name).unwrap();
    }
    let path = scratch.path("written.mp4");
    let reason = written_with_sound_of(scratch.path("absent.mkv"), "aac", &path);
    assert!(reason.unwrap().contains("No such file"));
    assert_eq!(times(&path).len(), 5);
    for name in others {
        assert_eq!(fs::read_to_string(scratch.path(name)).unwrap(), name);
    }
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 3);
}

fn sound_length(path: &Path) -> f64 {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            "a:0",
            "-show_entries",
            "packet=pts_time",
            "-of",
            "csv=p=0",
        ])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text
        .lines()
        .filter_map(|line| line.trim_end_matches(',').parse::<f64>().ok());
    last.fold(0.0, f64::max)
}

#[test]
fn a_video_of_odd_sides_is_written_too() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let path = scratch.path("odd.mp4");
    let ffmpeg = Ffmpeg::find(None).unwrap();
    let mut writer =
        VideoWriter::create(&ffmpeg, &path, [63, 47], WriterOptions::default()).unwrap();
    let frame = Frame::filled(63, 47, [200, 30, 30]).unwrap();
    for _ in 0..5 {
        writer.write(&frame, None).unwrap();
    }
    writer.finish(true).unwrap();
    assert_eq!(times(&path).len(), 5);
}
