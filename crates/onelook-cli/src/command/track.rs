//! `onelook track`: images and videos, or recorded detections in, the same objects with the same ids out.

mod recorded;

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::TrackArgs;
use crate::source_run::{self, RunPlan};

/// Images in a second where nothing says so.
const IMAGE_RATE: f64 = 30.0;

pub fn run(args: &TrackArgs, console: &Console) -> Result<(), Failure> {
    if let Some(path) = &args.detections {
        if args.delivery.has_receiver() {
            let message =
                "--webhook and brokers are for --source: of what was recorded nothing is sent";
            return Err(Failure::Usage(message.to_owned()));
        }
        return recorded::run(args, path, console);
    }
    if args.times.is_some() || args.frames.is_some() {
        return Err(Failure::Usage(
            "--times and --frames are for --detections: a video has its own times and frames"
                .to_owned(),
        ));
    }
    let plan = RunPlan {
        args: &args.inference,
        command: "track",
        confidence: 0.1,
        tracker: Some(args.tracker.settings()?),
        image_rate: args.frame_rate.unwrap_or(IMAGE_RATE),
        mot: args.mot.as_deref(),
        save_mot: args.save_mot,
        delivery: Some(&args.delivery),
        counting: None,
    };
    source_run::run(&plan, console)
}
