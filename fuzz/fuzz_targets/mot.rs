//! Recorded detections; what is accepted goes through every tracker, which must neither panic nor hang.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use onelook::mot::MotDetections;
use onelook::vision::track::{FrameInfo, TrackerOptions};

/// Frames that are fed: what breaks a tracker breaks it in a few.
const FRAMES: u64 = 64;

fuzz_target!(|text: &str| {
    let detections = match MotDetections::parse(text) {
        Ok(detections) => detections,
        Err(error) => return drop(error.to_string()),
    };
    for name in TrackerOptions::NAMES {
        let Some(options) = TrackerOptions::named(name) else {
            unreachable!("every name is known");
        };
        let mut tracker = options.build();
        for frame in 1..=detections.last_frame().min(FRAMES) {
            let time = Duration::from_millis(frame * 40);
            let seen = tracker.update(
                detections.frame(frame),
                &FrameInfo {
                    time,
                    ..FrameInfo::default()
                },
            );
            assert!(seen.len() <= detections.frame(frame).len(), "{name}");
        }
    }
});
