//! Streams that share a model, with decoders that do as they are told: no process, no file.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use onelook::media::StopHandle;
use onelook::media::video::{
    Decoder, Delivery, OpenDecoder, StreamOptions, VideoError, VideoFrame, VideoStream,
};
use onelook::streams::{StreamEvent, StreamId, StreamSettings, Streams};
use onelook::tracking;
use onelook::types::PixelFormat;
use onelook::{LoadOptions, Model, Options, Pipeline};

/// Gives frames of one size at 25 per second of its own time, as fast as they are taken.
#[derive(Clone)]
struct Clip {
    frames: u64,
    side: usize,
    /// Fails at the end.
    fails: bool,
    /// Gives no frame while this is set.
    frozen: Arc<AtomicBool>,
    given: u64,
}

fn clip(frames: u64, side: usize) -> Clip {
    Clip {
        frames,
        side,
        fails: false,
        frozen: Arc::default(),
        given: 0,
    }
}

impl OpenDecoder for Clip {
    fn open(&mut self, _: &StopHandle) -> Result<Box<dyn Decoder>, VideoError> {
        Ok(Box::new(self.clone()))
    }
}

impl Decoder for Clip {
    fn next_frame(&mut self, mut pixels: Vec<u8>) -> Result<Option<VideoFrame>, VideoError> {
        while self.frozen.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.given == self.frames {
            let (frames, reason) = (self.frames, "the cable was pulled".to_owned());
            return match self.fails {
                true => Err(VideoError::Ended { frames, reason }),
                false => Ok(None),
            };
        }
        pixels.clear();
        pixels.resize(self.side * self.side * 3, 90);
        self.given += 1;
        Ok(Some(VideoFrame {
            width: self.side,
            height: self.side,
            format: PixelFormat::Rgb,
            pixels,
            number: 0,
            time: Some(Duration::from_millis(40 * (self.given - 1))),
            arrived: Instant::now(),
        }))
    }
}

/// The decoders run in this process and need no turn of their own to be ready: enough wait always.
fn every_frame(clip: Clip) -> VideoStream {
    let ahead = Delivery::EveryFrame {
        ahead: 8,
        bytes: u64::MAX,
    };
    delivered(ahead, clip)
}

/// Frames wait, or are read when the streams ask for them.
const DELIVERIES: [Delivery; 2] = [
    Delivery::EveryFrame {
        ahead: 2,
        bytes: u64::MAX,
    },
    Delivery::OnDemand,
];

fn delivered(delivery: Delivery, clip: Clip) -> VideoStream {
    let options = StreamOptions {
        delivery,
        reconnect: None,
        must_start: false,
    };
    VideoStream::with_decoder(Box::new(clip), options)
}

fn streams(batch: usize) -> Streams {
    static MODEL: OnceLock<Mutex<Arc<Model>>> = OnceLock::new();
    let model = MODEL.get_or_init(|| {
        let model = Model::load("yolo11n.yaml", &LoadOptions::default()).unwrap();
        Mutex::new(Arc::new(model))
    });
    let options = Options {
        image_size: Some([32, 32]),
        rect: Some(true),
        batch,
        ..Options::default()
    };
    let model = Arc::clone(&model.lock().unwrap());
    Streams::new(Pipeline::new(model, options).unwrap())
}

/// Ids of the streams whose frames were run, in order, until so many were; ends are left out.
fn turns(streams: &mut Streams, count: usize) -> Vec<StreamId> {
    let mut turns = Vec::new();
    while turns.len() < count && !streams.is_empty() {
        for event in streams.next(None).unwrap() {
            if let StreamEvent::Frame(result) = event {
                turns.push(result.id);
            }
        }
    }
    turns
}

fn count(turns: &[StreamId], id: StreamId) -> usize {
    turns.iter().filter(|turn| **turn == id).count()
}

#[test]
fn every_frame_of_every_stream_is_run_once_and_in_order() {
    let cases = DELIVERIES.map(|delivery| [1, 3].map(|batch| (delivery, batch)));
    for (delivery, batch) in cases.into_iter().flatten() {
        let mut streams = streams(batch);
        let ids = [7, 4, 9].map(|frames| {
            let video = delivered(delivery, clip(frames, 32));
            streams.add(video, StreamSettings::default())
        });
        let mut numbers = [const { Vec::new() }; 3];
        let mut ends = Vec::new();
        while !streams.is_empty() {
            for event in streams.next(None).unwrap() {
                match event {
                    StreamEvent::Frame(result) => {
                        let place = ids.iter().position(|id| *id == result.id).unwrap();
                        assert!(!ends.contains(&result.id), "a frame after the end");
                        numbers[place].push(result.frame.number);
                    }
                    StreamEvent::Ended { id, error } => {
                        assert_eq!(error, None);
                        ends.push(id);
                    }
                }
            }
        }
        let all = [7, 4, 9].map(|frames| (0..frames).collect::<Vec<u64>>());
        assert_eq!(numbers, all, "batch {batch}, {delivery:?}");
        assert_eq!(ends.len(), 3);
    }
}

#[test]
fn turns_are_fair_by_weight_and_by_work() {
    let mut streams = streams(1);
    let of_weight = |weight: u32| StreamSettings {
        weight: NonZeroU32::new(weight).unwrap(),
        ..StreamSettings::default()
    };
    let light = streams.add(every_frame(clip(1000, 32)), of_weight(1));
    let heavy = streams.add(every_frame(clip(1000, 32)), of_weight(3));
    // Both have to be there before it counts.
    turns(&mut streams, 40);
    let [before_light, before_heavy] = [light, heavy].map(|id| streams.report(id).unwrap().frames);
    turns(&mut streams, 200);
    let [light, heavy] = [light, heavy].map(|id| streams.report(id).unwrap().frames);
    let (light, heavy) = (light - before_light, heavy - before_heavy);
    // A decoder that the system left without the processor misses turns, but no more than it has to.
    assert!(
        (40..=60).contains(&light) && (140..=160).contains(&heavy),
        "{light} to {heavy}"
    );
}

#[test]
fn a_stream_that_fails_or_freezes_harms_no_other() {
    for delivery in DELIVERIES {
        fails_or_freezes(delivery);
    }
}

fn fails_or_freezes(delivery: Delivery) {
    let mut streams = streams(1);
    let good = streams.add(delivered(delivery, clip(60, 32)), StreamSettings::default());
    let failing = Clip {
        fails: true,
        ..clip(5, 32)
    };
    let failing = streams.add(delivered(delivery, failing), StreamSettings::default());
    let frozen = clip(5, 32);
    let freeze = Arc::clone(&frozen.frozen);
    freeze.store(true, SeqCst);
    let frozen = streams.add(delivered(delivery, frozen), StreamSettings::default());
    let (mut run, mut error) = (Vec::new(), None);
    while count(&run, good) < 60 || error.is_none() {
        for event in streams.next(None).unwrap() {
            match event {
                StreamEvent::Frame(result) => run.push(result.id),
                StreamEvent::Ended {
                    id,
                    error: Some(why),
                } if id == failing => error = Some(why),
                StreamEvent::Ended { id, .. } => assert_eq!(id, good),
            }
        }
    }
    assert_eq!((count(&run, failing), count(&run, frozen)), (5, 0));
    assert!(error.unwrap().to_string().contains("the cable was pulled"));
    // It comes back by itself.
    freeze.store(false, SeqCst);
    assert_eq!(turns(&mut streams, 5), [frozen; 5]);
}

#[test]
fn streams_come_and_go_while_others_run() {
    let mut streams = streams(1);
    let first = streams.add(every_frame(clip(u64::MAX, 32)), StreamSettings::default());
    turns(&mut streams, 3);
    let second = streams.add(every_frame(clip(u64::MAX, 32)), StreamSettings::default());
    assert_ne!(first, second);
    while streams.report(second).unwrap().frames == 0 {
        turns(&mut streams, 1);
    }
    assert!(streams.remove(first) && !streams.remove(first));
    assert_eq!(streams.report(first), None);
    assert_eq!(turns(&mut streams, 4), [second; 4]);
}

#[test]
fn frames_above_the_rate_are_left_out_and_counted() {
    let mut streams = streams(1);
    let settings = StreamSettings {
        max_fps: Some(5.0),
        ..StreamSettings::default()
    };
    let id = streams.add(every_frame(clip(u64::MAX, 32)), settings);
    let mut times = Vec::new();
    while times.len() < 10 {
        for event in streams.next(None).unwrap() {
            if let StreamEvent::Frame(result) = event {
                times.push(result.frame.time.unwrap().as_millis());
            }
        }
    }
    let expected: Vec<u128> = (0..10).map(|frame| 200 * frame).collect();
    assert_eq!(times, expected);
    assert!(streams.report(id).unwrap().over_rate >= 36);
}

#[test]
fn frames_that_waited_too_long_are_left_out_and_counted() {
    let mut streams = streams(1);
    let settings = StreamSettings {
        max_age: Some(Duration::ZERO),
        ..StreamSettings::default()
    };
    let id = streams.add(every_frame(clip(12, 32)), settings);
    assert_eq!(turns(&mut streams, 1), []);
    assert!(streams.is_empty());
    assert_eq!(streams.report(id), None);
}

#[test]
fn whoever_waits_is_woken_and_waits_no_longer_than_it_wants() {
    let mut streams = streams(1);
    let frozen = clip(1, 32);
    frozen.frozen.store(true, SeqCst);
    let freeze = Arc::clone(&frozen.frozen);
    streams.add(every_frame(frozen), StreamSettings::default());
    let soon = Some(Instant::now() + Duration::from_millis(5));
    assert!(streams.next(soon).unwrap().is_empty());
    let waker = streams.waker();
    let thread = std::thread::spawn(waker);
    assert!(streams.next(None).unwrap().is_empty());
    thread.join().unwrap();
    freeze.store(false, SeqCst);
    assert_eq!(turns(&mut streams, 1).len(), 1);
}

#[test]
fn each_stream_has_a_tracker_of_its_own() {
    let mut streams = streams(2);
    let settings = || StreamSettings {
        tracker: Some(tracking::tracker("botsort").unwrap()),
        ..StreamSettings::default()
    };
    for _ in 0..2 {
        streams.add(every_frame(clip(3, 32)), settings());
    }
    // Random weights find nothing; what trackers make of boxes is tested beside them.
    assert_eq!(turns(&mut streams, 6).len(), 6);
}

#[test]
fn settings_and_the_model_change_while_a_stream_runs() {
    let mut streams = streams(1);
    let id = streams.add(every_frame(clip(400, 32)), StreamSettings::default());
    assert_eq!(turns(&mut streams, 3), [id; 3]);
    let slow = StreamSettings {
        max_fps: Some(5.0),
        ..StreamSettings::default()
    };
    assert!(streams.set_settings(id, slow.clone()));
    let options = streams.pipeline().options().clone();
    let model = Model::load("yolo11n.yaml", &LoadOptions::default()).unwrap();
    streams.set_pipeline(Pipeline::new(model, options).unwrap());
    assert_eq!(turns(&mut streams, 3), [id; 3]);
    let report = streams.report(id).unwrap();
    assert_eq!(report.frames, 6);
    // Of 25 frames per second every fifth is run, on the same connection.
    assert!(report.over_rate >= 8, "{report:?}");
    assert_eq!(report.decoding.attempts, 1);
    assert!(streams.remove(id) && !streams.set_settings(id, slow));
}
