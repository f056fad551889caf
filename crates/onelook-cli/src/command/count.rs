//! `onelook count`: images and videos, or recorded tracks in, crossings of lines and stays in zones out.

mod recorded;

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::CountArgs;
use crate::source_run::{self, CountPlan, RunPlan};

/// Images in a second where nothing says so.
const IMAGE_RATE: f64 = 30.0;

pub fn run(args: &CountArgs, console: &Console) -> Result<(), Failure> {
    if let Some(path) = &args.tracks {
        if args.delivery.has_receiver() {
            let message =
                "--webhook and brokers are for --source: of what was recorded nothing is sent";
            return Err(Failure::Usage(message.to_owned()));
        }
        return recorded::run(args, path, console);
    }
    let image_rate = args.frame_rate.unwrap_or(IMAGE_RATE);
    if !(1e-3..=1e6).contains(&image_rate) {
        let reason = format!("--frame-rate {image_rate}: expected frames per second above 0");
        return Err(Failure::Usage(reason));
    }
    let plan = RunPlan {
        args: &args.inference,
        command: "count",
        confidence: 0.1,
        tracker: Some(args.tracker.settings()?),
        image_rate,
        mot: None,
        save_mot: false,
        delivery: Some(&args.delivery),
        counting: Some(CountPlan {
            options: args.analytics_options()?,
            is_drawn: args.show_places,
            events: args.events.as_deref(),
        }),
    };
    source_run::run(&plan, console)
}
