//! Every kind of video: its pixels, times and sizes are those that ffmpeg and ffprobe tell.

use super::*;

#[test]
fn a_gpu_that_is_looked_for_and_not_there_is_no_failure() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let path = scratch.clip("plain.mp4", "64x48", 1, "-c:v libx264");
    let stream = stream_by(Ffmpeg::find(None).unwrap(), &path, |decode| {
        decode.hardware = Some("auto".to_owned());
        decode.threads = Some(1);
    });
    let (frames, failure) = read(stream);
    assert_eq!((frames.len(), failure), (10, None));
}

#[test]
fn frames_and_times_are_those_of_the_file_whatever_its_kind() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let b_frames = "-c:v libx264 -bf 3 -g 12";
    let uneven = "-vf settb=1/90000,setpts=N*3600+floor(N/7)*29970 -fps_mode passthrough -enc_time_base 1:90000 -c:v libx264";
    let with_sound = "-f lavfi -i sine=d=2 -c:v libx264 -c:a aac -output_ts_offset 1.4";
    let cases = [
        ("b frames.mp4", "64x48", b_frames, [64, 48]),
        (
            "odd:sizes.mkv",
            "64x48",
            "-vf scale=63:47 -c:v libx264 -pix_fmt yuv444p",
            [63, 47],
        ),
        (
            "ten%02dbits.mp4",
            "64x48",
            "-c:v libx264 -pix_fmt yuv420p10le",
            [64, 48],
        ),
        ("ungleichmäßig.mp4", "64x48", uneven, [64, 48]),
        ("-offset.ts", "64x48", with_sound, [64, 48]),
        ("it's.avi", "64x48", "-c:v mjpeg", [64, 48]),
        ("one.mp4", "64x48", "-c:v libx264 -frames:v 1", [64, 48]),
        ("lossless.mkv", "64x48", "-c:v ffv1", [64, 48]),
    ];
    for (name, size, words, [width, height]) in cases {
        let path = scratch.clip(name, size, 2, words);
        let (frames, failure) = read(stream(&path));
        assert_eq!(failure, None, "{name}");
        let bytes: Vec<u8> = frames
            .iter()
            .flat_map(|frame| frame.pixels.clone())
            .collect();
        assert!(!bytes.is_empty() && bytes == raw(&path), "{name}: pixels");
        let expected = times(&path);
        assert_eq!(frames.len(), expected.len(), "{name}");
        for (frame, expected) in frames.iter().zip(expected) {
            assert_eq!((frame.width, frame.height), (width, height), "{name}");
            let time = frame.time.unwrap().as_secs_f64();
            assert!(
                (time - expected).abs() < 0.000_1,
                "{name}: {time} {expected}"
            );
        }
    }
}

#[test]
fn a_rotated_video_is_upright() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let flat = scratch.clip("flat.mp4", "64x48", 1, X264);
    let turned = scratch.path("turned.mp4");
    let rotations: [&[&str]; 2] = [
        &[
            "-display_rotation",
            "90",
            "-i",
            flat.to_str().unwrap(),
            "-c",
            "copy",
        ],
        &[
            "-i",
            flat.to_str().unwrap(),
            "-c",
            "copy",
            "-metadata:s:v",
            "rotate=90",
        ],
    ];
    // The first is how newer ones are told, the second how older ones are.
    let done = rotations.iter().any(|words| {
        let mut command = Command::new("ffmpeg");
        command
            .args(["-nostdin", "-v", "quiet", "-y"])
            .args(*words)
            .arg(&turned);
        command.status().unwrap().success()
    });
    assert!(done);
    let address = VideoAddress::File(turned.clone());
    let ffmpeg = Ffmpeg::find(None).unwrap();
    let info = VideoInfo::of(&address, &ffmpeg, &StopHandle::default()).unwrap();
    assert_eq!((info.width, info.height, info.rotation % 180), (48, 64, 90));
    let (frames, failure) = read(stream(&turned));
    assert_eq!((frames.len(), failure), (10, None));
    assert_eq!((frames[0].width, frames[0].height), (48, 64));
}

#[test]
fn a_file_is_read_as_the_container_that_is_told_and_as_nothing_else() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let path = scratch.clip("a.mp4", "64x48", 1, X264);
    for (container, frames) in [("mov", 10), ("avi", 0)] {
        let ffmpeg = Ffmpeg::find(None).unwrap();
        let stream = stream_by(ffmpeg, &path, |decode| decode.container = Some(container));
        let (read, failure) = read(stream);
        assert_eq!(read.len(), frames, "{container}");
        assert_eq!(failure.is_none(), frames > 0, "{failure:?}");
    }
}

#[test]
fn what_is_said_of_a_video_is_what_is_in_it() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let path = scratch.clip(
        "a.mp4",
        "64x48",
        3,
        "-f lavfi -i sine=d=3 -c:v libx264 -c:a aac",
    );
    let mut stream = stream(&path);
    assert!(matches!(stream.next_frame(None), Next::Frame(_)));
    let info = stream.info().unwrap();
    assert_eq!((info.width, info.height, info.rotation), (64, 48, 0));
    assert_eq!((info.fps, info.frames), (Some(10.0), Some(30)));
    assert_eq!(info.audio.as_deref(), Some("aac"));
    assert!((info.duration.unwrap() - 3.0).abs() < 0.1);
}

#[test]
fn frames_are_thinned_and_resized_by_ffmpeg_and_keep_their_times() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let path = scratch.clip("a.mp4", "64x48", 2, X264);
    let all = times(&path);
    let small = stream_by(Ffmpeg::find(None).unwrap(), &path, |options| {
        options.stride = 3;
        options.size = Some([32, 16]);
        options.format = PixelFormat::Nv12;
    });
    let (frames, failure) = read(small);
    assert_eq!((frames.len(), failure), (7, None));
    for (index, frame) in frames.iter().enumerate() {
        assert_eq!(frame.pixels.len(), 32 * 16 * 3 / 2);
        let view = frame.view().unwrap();
        assert_eq!((view.width(), view.format()), (32, PixelFormat::Nv12));
        let time = view.timestamp().unwrap().as_secs_f64();
        assert!((time - all[3 * index]).abs() < 0.000_1);
    }
    let odd = scratch.clip(
        "odd.mkv",
        "64x48",
        1,
        "-vf scale=63:47 -c:v ffv1 -pix_fmt bgr0",
    );
    let even = stream_by(Ffmpeg::find(None).unwrap(), &odd, |options| {
        options.format = PixelFormat::Nv12;
    });
    let (frames, failure) = read(even);
    assert_eq!((frames.len(), failure), (10, None));
    assert_eq!((frames[0].width, frames[0].height), (62, 46));
}

#[test]
fn only_frames_with_a_longer_side_are_made_smaller() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let lossless = "-c:v ffv1 -pix_fmt bgr0 -vf scale";
    for (size, most, [width, height]) in [
        ("64:48", 32, [32, 24]),
        ("48:64", 32, [24, 32]),
        ("64:48", 64, [64, 48]),
        ("63:47", 64, [63, 47]),
        ("63:47", 41, [41, 30]),
        ("64:4", 32, [32, 2]),
    ] {
        let path = scratch.clip("a.mkv", "64x48", 1, &format!("{lossless}={size}"));
        let small = stream_by(Ffmpeg::find(None).unwrap(), &path, |options| {
            options.longest_side = Some(most);
        });
        let (frames, failure) = read(small);
        assert_eq!((frames.len(), failure), (10, None), "{size} {most}");
        for frame in &frames {
            assert_eq!(
                [frame.width, frame.height],
                [width, height],
                "{size} {most}"
            );
        }
        let is_untouched = size == format!("{width}:{height}");
        assert_eq!(
            frames[0].pixels == raw(&path)[..width * height * 3],
            is_untouched
        );
    }
}

#[test]
fn a_size_that_changes_in_the_middle_stays_that_of_the_first_frame() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let first = fs::read(scratch.clip("a.ts", "64x48", 1, X264)).unwrap();
    let second = fs::read(scratch.clip("b.ts", "96x64", 1, X264)).unwrap();
    let path = scratch.path("both.ts");
    fs::write(&path, [first, second].concat()).unwrap();
    let (frames, _) = read(stream(&path));
    assert!(frames.len() >= 18, "{}", frames.len());
    assert!(
        frames
            .iter()
            .all(|frame| (frame.width, frame.height) == (64, 48))
    );
}

#[test]
fn a_file_goes_on_behind_any_frame_with_the_same_pixels_and_times() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let uneven = "-vf settb=1/90000,setpts=N*9000+floor(N/7)*2997+63000 -fps_mode passthrough -enc_time_base 1:90000";
    for (name, words) in [
        ("a.mp4", "-c:v libx264 -bf 3 -g 12"),
        ("uneven.mkv", &format!("{uneven} -c:v libx264 -bf 3 -g 40")),
        (
            "open.ts",
            "-c:v libx264 -x264-params open-gop=1:bframes=3 -g 15",
        ),
        // Without times, and without a place to search.
        ("none.h264.avi", "-c:v mpeg4 -bf 2"),
    ] {
        let path = scratch.clip(name, "64x48", 6, words);
        for stride in [1, 3] {
            let by_stride = |resume| {
                stream_by(Ffmpeg::find(None).unwrap(), &path, |options| {
                    options.stride = stride;
                    options.resume = resume;
                })
            };
            let (frames, failure) = read(by_stride(None));
            assert_eq!(failure, None, "{name}");
            for done in [1, 2, 7, 15, frames.len() - 1, frames.len()] {
                let last = &frames[done - 1];
                for time in [last.time, None] {
                    let size = [last.width, last.height].map(|side| side as u32);
                    let point = ResumePoint::new(done as u64, time, size, &last.pixels);
                    let (rest, failure) = read(by_stride(Some(point)));
                    assert_eq!(failure, None, "{name} {done}");
                    let shown = |frames: &[VideoFrame]| -> Vec<(Option<Duration>, Vec<u8>)> {
                        let frames = frames.iter();
                        frames.map(|it| (it.time, it.pixels.clone())).collect()
                    };
                    assert!(
                        shown(&rest) == shown(&frames[done..]),
                        "{name} {stride} {done}"
                    );
                }
            }
        }
        let (frames, _) = read(stream(&path));
        let point = ResumePoint::new(9, frames[8].time, [64, 48], &frames[9].pixels);
        let other = stream_by(Ffmpeg::find(None).unwrap(), &path, |options| {
            options.resume = Some(point);
        });
        assert_eq!(
            read(other),
            (Vec::new(), Some(VideoError::Changed { frame: 9 }))
        );
    }
}
