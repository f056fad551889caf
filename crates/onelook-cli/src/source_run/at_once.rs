//! Several videos and live streams beside each other: fair turns, a tracker each, results as they come.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use onelook::Pipeline;
use onelook::media::video::{StreamState, VideoError, VideoInfo};
use onelook::media::{SourceError, SourceStream, VideoPosition};
use onelook::streams::{
    StreamEvent, StreamId, StreamReport, StreamResult, StreamSettings, Streams,
};

use super::RunPlan;
use super::emitter::Emitter;
use crate::failure::Failure;
use crate::output::{PredictedImage, SequencePosition};
use crate::signals::Interrupt;

/// How often it is looked what has become of the streams.
const LOOK: Duration = Duration::from_secs(1);

/// Runs the streams until all have ended, or a signal comes.
pub fn run(
    streams: Vec<SourceStream>,
    pipeline: Pipeline,
    plan: &RunPlan<'_>,
    interrupt: &Interrupt,
    emitter: &mut Emitter<'_>,
) -> Result<(), Failure> {
    let mut running = Streams::new(pipeline);
    let video = &plan.args.video;
    let add = |stream: SourceStream| Member {
        id: running.add(
            stream.video,
            StreamSettings {
                // Of a file every frame counts.
                max_age: video
                    .max_age
                    .filter(|_| stream.is_live)
                    .map(Duration::from_secs_f64),
                max_fps: video.max_fps.filter(|_| stream.is_live),
                tracker: plan.tracker,
                ..StreamSettings::default()
            },
        ),
        name: stream.name,
        path: stream.path,
        is_live: stream.is_live,
        info: None,
        frames: 0,
        time: Duration::ZERO,
        report: None,
        failures_told: 0,
    };
    let mut members: Vec<Member> = streams.into_iter().map(add).collect();
    interrupt.then(running.waker());
    let stride = u64::from(video.vid_stride.max(1));
    let began = Instant::now();
    let mut look = began + LOOK;
    while !running.is_empty() && interrupt.received().is_none() {
        for event in running.next(Some(look))? {
            let of = match &event {
                StreamEvent::Frame(result) => result.id,
                StreamEvent::Ended { id, .. } => *id,
            };
            let Some(index) = members.iter().position(|member| member.id == of) else {
                continue;
            };
            let member = &mut members[index];
            match event {
                StreamEvent::Frame(result) => {
                    member.info = member
                        .info
                        .take()
                        .or_else(|| running.info(of).map(Arc::new));
                    member.emit(index, *result, stride, emitter)?;
                }
                StreamEvent::Ended { error, .. } => {
                    if let Some(source) = error {
                        let name = member.name.clone();
                        emitter.failed(&member.name, SourceError::Video { name, source });
                    }
                    emitter.end_of(index + 1)?;
                }
            }
        }
        if Instant::now() >= look {
            look = Instant::now() + LOOK;
            see(&mut members, &running, emitter);
            emitter.bar.set_message(status(&members, began.elapsed()));
        }
    }
    see(&mut members, &running, emitter);
    emitter.bar.finish_and_clear();
    let console = emitter.console;
    for member in &members {
        console.detail(member.summary())?;
    }
    console.detail(status(&members, began.elapsed()))
}

/// One of the streams.
struct Member {
    id: StreamId,
    name: String,
    path: Option<PathBuf>,
    is_live: bool,
    info: Option<Arc<VideoInfo>>,
    /// Frames that were run.
    frames: u64,
    /// Time of the last one.
    time: Duration,
    /// As it was seen last.
    report: Option<StreamReport>,
    /// Failures that were told.
    failures_told: u64,
}

impl Member {
    fn emit(
        &mut self,
        index: usize,
        result: StreamResult,
        stride: u64,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), Failure> {
        self.frames += 1;
        let time = result.frame.time;
        self.time = time.unwrap_or(self.time);
        let frames = self.info.as_ref().and_then(|info| info.frames);
        let position = VideoPosition {
            frame: self.frames,
            frames: frames.map(|frames| frames.div_ceil(stride)),
            info: self.info.clone(),
            is_live: self.is_live,
            arrived: Some(result.frame.arrived),
        };
        let frame = result.frame.into_frame().map_err(onelook::Error::from)?;
        emitter.emit(PredictedImage {
            position: index + 1,
            total: emitter.tally.entries,
            source: &self.name,
            video: Some(&position),
            time,
            sequence: SequencePosition {
                number: index + 1,
                frame: self.frames,
                time: self.time,
            },
            path: self.path.as_deref(),
            frame: &frame,
            result: &result.result,
            places: &[],
            decode: Duration::ZERO,
            age: Some(result.age),
            warnings: &[],
        })
    }

    /// Frames that were not run.
    fn dropped(&self) -> u64 {
        let report = self.report.as_ref();
        report.map_or(0, |it| it.decoding.dropped + it.too_old + it.over_rate)
    }

    fn summary(&self) -> String {
        let mut words = format!("{}: {} frames", self.name, self.frames);
        if let Some(report) = self.report.as_ref().filter(|_| self.is_live) {
            let decoding = &report.decoding;
            words += &format!(
                ", {} dropped, {} failures",
                self.dropped(),
                decoding.failures
            );
            if let Some(error) = &decoding.last_error {
                words += &format!(" (last: {error})");
            }
        }
        words
    }
}

/// Looks at the streams that still run, and tells of failures since the last time.
fn see(members: &mut [Member], running: &Streams, emitter: &Emitter<'_>) {
    for member in members {
        let Some(report) = running.report(member.id) else {
            // It has ended. Its age says nothing any more.
            if let Some(last) = &mut member.report {
                last.age = None;
                last.decoding.state = StreamState::Ended;
            }
            continue;
        };
        let decoding = &report.decoding;
        if let Some(error) = &decoding.last_error
            && member.is_live
            && decoding.failures > member.failures_told
        {
            member.failures_told = decoding.failures;
            tell(&member.name, error, emitter);
        }
        member.report = Some(report);
    }
}

fn tell(name: &str, error: &VideoError, emitter: &Emitter<'_>) {
    let text = format!("'{name}': {error}; it is opened again");
    emitter.bar.suspend(|| emitter.console.warn(text));
}

/// `4 streams, 3 running: 800 frames, 45.2 fps, age 0.12 s, 310 dropped`; the age is that of the stream whose
/// newest result is oldest, as it was when it came.
fn status(members: &[Member], elapsed: Duration) -> String {
    let reports = || members.iter().filter_map(|member| member.report.as_ref());
    let is_running = |report: &&StreamReport| report.decoding.state == StreamState::Running;
    let running = reports().filter(is_running).count();
    let frames: u64 = members.iter().map(|member| member.frames).sum();
    let dropped: u64 = members.iter().map(Member::dropped).sum();
    let fps = frames as f64 / elapsed.as_secs_f64().max(1e-3);
    let live = members.iter().filter(|member| member.is_live);
    let ages = live.filter_map(|member| member.report.as_ref()?.age);
    let age = ages.max().map_or(String::new(), |age| {
        format!(", age {:.2} s", age.as_secs_f64())
    });
    format!(
        "{} streams, {running} running: {frames} frames, {fps:.1} fps{age}, {dropped} dropped",
        members.len()
    )
}
