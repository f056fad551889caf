//! Streams of a decoder that does as it is told: no process, no file.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use onelook_types::PixelFormat;

use super::super::decoder::Decoder;
use super::*;

/// Gives runs of so many frames; after each the video fails, or ends where there are no more runs.
struct Scripted {
    runs: VecDeque<(u64, VideoError)>,
    opened: Arc<AtomicU64>,
}

struct Run {
    left: u64,
    error: Option<VideoError>,
}

impl OpenDecoder for Scripted {
    fn open(&mut self, _: &StopHandle) -> Result<Box<dyn Decoder>, VideoError> {
        self.opened.fetch_add(1, SeqCst);
        Ok(match self.runs.pop_front() {
            Some((0, error)) => return Err(error),
            Some((left, error)) => Box::new(Run {
                left,
                error: Some(error),
            }),
            None => Box::new(Run {
                left: 3,
                error: None,
            }),
        })
    }
}

impl Decoder for Run {
    fn next_frame(&mut self, mut buffer: Vec<u8>) -> Result<Option<VideoFrame>, VideoError> {
        if self.left == 0 {
            return self.error.take().map_or(Ok(None), Err);
        }
        self.left -= 1;
        buffer.clear();
        buffer.resize(12, 7);
        Ok(Some(VideoFrame {
            width: 2,
            height: 2,
            format: PixelFormat::Rgb,
            pixels: buffer,
            number: 0,
            time: None,
            arrived: Instant::now(),
        }))
    }
}

fn ended() -> VideoError {
    VideoError::Ended {
        frames: 0,
        reason: String::new(),
    }
}

fn stream(runs: &[(u64, VideoError)], delivery: Delivery, reconnect: bool) -> VideoStream {
    let ms = Duration::from_millis;
    let opener = Scripted {
        runs: runs.to_vec().into(),
        opened: Arc::default(),
    };
    let options = StreamOptions {
        delivery,
        reconnect: reconnect.then(|| Backoff::new(ms(1), ms(4), ms(1000))),
        must_start: false,
    };
    VideoStream::with_decoder(Box::new(opener), options)
}

const ALL: Delivery = Delivery::EveryFrame {
    ahead: 2,
    bytes: u64::MAX,
};

fn numbers(stream: &mut VideoStream, count: usize) -> Vec<u64> {
    let next = |_| match stream.next_frame(None) {
        Next::Frame(frame) => frame.number,
        other => panic!("{other:?}"),
    };
    (0..count).map(next).collect()
}

#[test]
fn a_file_gives_all_frames_and_ends() {
    let mut stream = stream(&[], ALL, false);
    assert_eq!(numbers(&mut stream, 3), [0, 1, 2]);
    assert_eq!(stream.next_frame(None), Next::Ended);
    assert_eq!(stream.status().state, StreamState::Ended);
    assert_eq!((stream.status().frames, stream.status().dropped), (3, 0));
}

#[test]
fn a_failure_comes_once_behind_the_frames_before_it() {
    let error = VideoError::Died {
        status: "9".to_owned(),
        frames: 2,
        reason: String::new(),
    };
    let mut stream = stream(&[(2, error.clone())], ALL, false);
    assert_eq!(numbers(&mut stream, 2), [0, 1]);
    assert_eq!(stream.next_frame(None), Next::Failed(error));
    assert_eq!(stream.next_frame(None), Next::Ended);
}

#[test]
fn a_live_stream_is_opened_again_whatever_ended_it() {
    let refused = VideoError::Refused {
        reason: "404".to_owned(),
    };
    let frozen = VideoError::Frozen {
        seconds: 5,
        frames: 1,
    };
    let runs = [
        (2, ended()),
        (0, refused),
        (1, frozen),
        (0, VideoError::NoVideo),
    ];
    let mut stream = stream(&runs, ALL, true);
    assert_eq!(numbers(&mut stream, 9), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(stream.status().attempts >= 6);
}

#[test]
fn a_stream_that_must_start_fails_at_once_but_not_later() {
    let refused = VideoError::Refused {
        reason: "401".to_owned(),
    };
    let mut stream = stream(&[(0, refused.clone())], ALL, true);
    stream.options.must_start = true;
    assert_eq!(stream.next_frame(None), Next::Failed(refused.clone()));
    let mut stream = self::stream(&[(2, ended()), (0, refused)], ALL, true);
    stream.options.must_start = true;
    assert_eq!(numbers(&mut stream, 5), [0, 1, 2, 3, 4]);
}

#[test]
fn what_waiting_does_not_mend_is_not_tried_again() {
    let too_large = VideoError::TooManyPixels {
        width: 9,
        height: 9,
        max_pixels: 80,
    };
    let mut stream = stream(&[(0, too_large.clone())], ALL, true);
    assert_eq!(stream.next_frame(None), Next::Failed(too_large));
    assert_eq!(stream.status().state, StreamState::Refused);
}

#[test]
fn the_newest_frame_wins_and_the_others_are_counted() {
    let mut stream = stream(&[(500, ended())], Delivery::LatestFrame, false);
    let mut taken = Vec::new();
    let failure = loop {
        match stream.next_frame(None) {
            Next::Frame(frame) => taken.push(frame.number),
            other => break other,
        }
        thread::sleep(Duration::from_micros(50));
    };
    assert_eq!(failure, Next::Failed(ended()));
    assert!(taken.is_sorted() && taken.last() == Some(&499), "{taken:?}");
    assert_eq!(taken.len() as u64 + stream.status().dropped, 500);
}

#[test]
fn no_more_frames_wait_than_may() {
    let mut stream = stream(&[(50, ended())], ALL, false);
    for taken in 1..=50 {
        numbers(&mut stream, 1);
        thread::sleep(Duration::from_micros(500));
        assert!(stream.status().frames <= taken + 2);
    }
}

#[test]
fn no_more_bytes_wait_than_may_but_always_one_frame() {
    // A frame has 12 bytes.
    for (bytes, most) in [(0, 1), (11, 1), (35, 2), (36, 3)] {
        let delivery = Delivery::EveryFrame { ahead: 128, bytes };
        let mut stream = stream(&[(50, ended())], delivery, false);
        numbers(&mut stream, 1);
        // One is taken, so many wait.
        while stream.status().frames < most + 1 {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(20));
        assert_eq!(stream.status().frames, most + 1, "{bytes}");
    }
}

#[test]
fn on_demand_no_frame_is_read_that_was_not_asked_for() {
    let mut stream = stream(&[(50, ended())], Delivery::OnDemand, false);
    assert!(!stream.ask(Instant::now()), "the first is read anyway");
    assert_eq!(stream.ready(), Next::NotYet);
    for read in 1..=20 {
        while !stream.is_ready() {
            thread::yield_now();
        }
        assert!(!stream.ask(Instant::now()), "one waits");
        assert!(matches!(stream.ready(), Next::Frame(frame) if frame.number == read - 1));
        thread::sleep(Duration::from_millis(1));
        assert_eq!(
            (stream.ready(), stream.status().frames),
            (Next::NotYet, read)
        );
        assert!(stream.ask(Instant::now()));
    }
    // Whoever waits for a frame asks for it.
    assert_eq!(numbers(&mut stream, 30), (20..50).collect::<Vec<u64>>());
}

#[test]
fn on_demand_a_frame_is_read_for_when_it_is_needed() {
    let mut stream = stream(&[(50, ended())], Delivery::OnDemand, false);
    // How long reading takes is known from the second frame on.
    assert_eq!(numbers(&mut stream, 2), [0, 1]);
    assert!(stream.ask(Instant::now() + Duration::from_secs(3600)));
    thread::sleep(Duration::from_millis(20));
    assert_eq!(stream.status().frames, 2);
    // Whoever waits needs it now.
    assert_eq!(numbers(&mut stream, 1), [2]);
}

#[test]
fn a_thread_that_cannot_be_started_ends_its_stream() {
    let mut stream = stream(&[], ALL, false);
    let opener = stream.opener.take().unwrap();
    // As the standard library does.
    drop(stream.reading(opener));
    let deadline = Instant::now();
    assert_eq!(stream.next_frame(Some(deadline)), Next::Ended);
}

#[test]
fn a_deadline_passes_and_a_stop_ends_the_wait() {
    struct Silent;
    impl OpenDecoder for Silent {
        fn open(&mut self, stop: &StopHandle) -> Result<Box<dyn Decoder>, VideoError> {
            while !stop.is_stopped() {
                thread::yield_now();
            }
            Err(VideoError::Stopped)
        }
    }
    let options = StreamOptions {
        delivery: ALL,
        reconnect: Some(Backoff::default()),
        must_start: false,
    };
    let mut stream = VideoStream::with_decoder(Box::new(Silent), options);
    let soon = Instant::now() + Duration::from_millis(5);
    assert_eq!(stream.next_frame(Some(soon)), Next::NotYet);
    assert_eq!(stream.status().state, StreamState::Connecting);
    let handle = stream.stop_handle();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(10));
        handle.stop();
    });
    assert_eq!(stream.next_frame(None), Next::Ended);
}

#[test]
fn a_decoder_that_panics_fails_and_a_live_stream_is_opened_again() {
    struct Bug(u32);
    impl OpenDecoder for Bug {
        fn open(&mut self, _: &StopHandle) -> Result<Box<dyn Decoder>, VideoError> {
            self.0 += 1;
            assert!(self.0 > 1, "a bug");
            let error = None;
            Ok(Box::new(Run { left: 3, error }))
        }
    }
    let options = StreamOptions {
        delivery: ALL,
        reconnect: None,
        must_start: false,
    };
    let mut stream = VideoStream::with_decoder(Box::new(Bug(0)), options.clone());
    let reason = "a bug".to_owned();
    let expected = Next::Failed(VideoError::Panicked { reason });
    assert_eq!(stream.next_frame(None), expected);
    assert_eq!(stream.next_frame(None), Next::Ended);
    let ms = Duration::from_millis;
    let options = StreamOptions {
        reconnect: Some(Backoff::new(ms(1), ms(4), ms(1000))),
        ..options
    };
    let mut stream = VideoStream::with_decoder(Box::new(Bug(0)), options);
    assert_eq!(numbers(&mut stream, 3), [0, 1, 2]);
}

#[test]
fn a_stream_crosses_threads() {
    fn crosses<T: Send>() {}
    crosses::<VideoStream>();
}
