//! `onelook predict`: images and videos in, boxes out.

use crate::batch_job;
use crate::console::Console;
use crate::failure::Failure;
use crate::flags::PredictArgs;
use crate::source_run::{self, RunPlan};

pub fn run(args: &PredictArgs, console: &Console) -> Result<(), Failure> {
    if args.job.detach && args.job.manifest.is_none() {
        return Err(Failure::Usage(
            "--detach is for lists of images: pass --manifest and --out".to_owned(),
        ));
    }
    if let Some(out) = &args.job.out {
        return batch_job::run(out, args, console);
    }
    let plan = RunPlan {
        args: &args.inference,
        command: "predict",
        confidence: 0.25,
        tracker: None,
        image_rate: 1.0,
        mot: None,
        save_mot: false,
        delivery: None,
        counting: None,
    };
    source_run::run(&plan, console)
}
