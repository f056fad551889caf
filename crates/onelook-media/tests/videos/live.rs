//! Live streams: an HLS playlist, and a server that does not exist.

use std::time::{Duration, Instant};

use onelook_media::video::{Ffmpeg, LiveReport, LiveTarget, LiveWriter};
use onelook_types::Frame;

fn frame(value: u8) -> Frame {
    Frame::filled(64, 47, [value; 3]).unwrap()
}

/// Writes frames until the report is as wanted.
fn write_until(writer: &LiveWriter, wanted: impl Fn(&LiveReport) -> bool) -> LiveReport {
    let began = Instant::now();
    let mut value = 0;
    loop {
        writer.write(frame(value));
        value = value.wrapping_add(7);
        let report = writer.report();
        if wanted(&report) {
            return report;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{report:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_playlist_names_a_bounded_number_of_segments() {
    // Its name means nothing to ffmpeg.
    let name = format!("onelook-hls-%d:{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let target = LiveTarget::Hls {
        directory: directory.clone(),
        segments: 2,
    };
    let ffmpeg = Ffmpeg::find(None).unwrap();
    let writer = LiveWriter::start(&ffmpeg, target).unwrap();
    write_until(&writer, |report| report.sent >= 100);
    let report = writer.finish();
    assert_eq!((report.failures, report.last_error), (0, None));
    let playlist = std::fs::read_to_string(directory.join("index.m3u8")).unwrap();
    let segments = playlist.lines().filter(|line| line.ends_with(".ts"));
    assert!((1..=2).contains(&segments.clone().count()), "{playlist}");
    for segment in segments {
        assert!(directory.join(segment).metadata().unwrap().len() > 0);
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_server_that_is_away_costs_frames_and_nothing_else() {
    // Nobody listens there.
    let url = "rtsp://me:secret@127.0.0.1:1/a".to_owned();
    let ffmpeg = Ffmpeg::find(None).unwrap();
    let writer = LiveWriter::start(&ffmpeg, LiveTarget::Rtsp(url)).unwrap();
    let report = write_until(&writer, |report| report.failures >= 2);
    assert!(report.dropped > 0);
    let said = report.last_error.unwrap();
    assert!(!said.contains("secret"), "{said}");
}
