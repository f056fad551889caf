//! `onelook val`: a model and a data set in, figures of merit out.

mod report;

use std::path::PathBuf;

use onelook::dataset::Dataset;
use onelook::{Options, Pipeline, ValidateOptions, Validation, validate};

use crate::console::Console;
use crate::failure::{Failure, refused};
use crate::flags::ValArgs;
use crate::output::RunDirectory;
use crate::plot;

pub fn run(args: &ValArgs, console: &Console) -> Result<(), Failure> {
    let dataset = Dataset::open(&args.data, args.images.as_deref())?;
    let pipeline = pipeline(args, console)?;
    let options = ValidateOptions {
        rect: args.fit.rect.unwrap_or(true) && !args.square,
        batch: args.fit.batch.unwrap_or(ValidateOptions::default().batch),
    };
    let bar = console.bar(dataset.images.len(), "validating");
    let validation = validate(&pipeline, &dataset, &options, &mut || bar.inc(1))?;
    bar.finish_and_clear();
    for (path, error) in &validation.failed {
        let failure = Failure::failed(error.kind(), error.to_string());
        console.error(&failure, Some(&path.display().to_string()));
    }
    report::words(&validation, &dataset, console);
    console.value(&report::value(&validation, &dataset));
    save(args, &pipeline, &dataset, &validation, console)?;
    match validation.failed.len() {
        0 => Ok(()),
        failed => Err(Failure::failed(
            "picture",
            format!(
                "{failed} of {} pictures could not be used, see above",
                dataset.images.len()
            ),
        )),
    }
}

/// The thresholds of validation differ from those of prediction: everything counts.
fn pipeline(args: &ValArgs, console: &Console) -> Result<Pipeline, Failure> {
    let model = args.model.load(console)?;
    let mut options: Options = args.fit.options(model.metadata())?;
    options.thresholds.confidence = args.fit.conf.unwrap_or(0.001);
    options.thresholds.multi_label = true;
    options.batch = 1;
    if options
        .image_size
        .is_some_and(|[height, width]| height != width)
    {
        return Err(Failure::Usage(
            "--imgsz: validation takes one number, pictures are fitted by their longer side"
                .to_owned(),
        ));
    }
    Ok(Pipeline::new(model, options)?)
}

fn save(
    args: &ValArgs,
    pipeline: &Pipeline,
    dataset: &Dataset,
    validation: &Validation,
    console: &Console,
) -> Result<(), Failure> {
    if !args.save || !(args.plots || args.save_json) {
        return Ok(());
    }
    let task = pipeline.model().metadata().task.name();
    let project = args
        .project
        .clone()
        .unwrap_or_else(|| PathBuf::from("runs").join(task));
    let directory = RunDirectory::create(&project, &args.name, args.exist_ok)?;
    let file = |name: &str| directory.path().join(name);
    if args.plots {
        plot::precision_recall(&validation.stats, &file("precision_recall.svg"))?;
        let matrix = &validation.stats.confusion;
        plot::confusion(matrix, |id| dataset.name(id), &file("confusion_matrix.svg"))?;
    }
    if args.save_json {
        let path = file("predictions.json");
        let text = report::predictions(validation).to_string();
        std::fs::write(&path, text).map_err(refused(&path))?;
    }
    console.line(format!("Results saved to {}", directory.path().display()));
    Ok(())
}
