//! `onelook val`: a model and a data set in, figures of merit out.

mod report;

use std::ops::ControlFlow;
use std::path::Path;

use onelook::dataset::{Dataset, DatasetOptions};
use onelook::printable::printable_path;
use onelook::{Options, Pipeline, ValidateOptions, Validation, validate};

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::ValArgs;
use crate::options::run_directory;
use crate::output::write_whole;
use crate::plot;

pub fn run(args: &ValArgs, console: &Console) -> Result<(), Failure> {
    let options = DatasetOptions {
        images: args.images.as_deref(),
        split: args.split,
    };
    let dataset = Dataset::open(&args.data, &options)?;
    let pipeline = pipeline(args, console)?;
    if saves(args) {
        console.saves_results();
    }
    for image in &dataset.excluded {
        report_unused(&image.path, &image.error, console);
    }
    let total = dataset.images.len() + dataset.excluded.len();
    if dataset.images.is_empty() {
        return Err(unused(total, total));
    }
    let options = ValidateOptions {
        rect: args.fit.rect.unwrap_or(true) && !args.square,
        batch: args.fit.batch.unwrap_or(ValidateOptions::default().batch),
        limits: args.limits.limits(),
        tiling: args.tile.tiling(args.fit.agnostic_nms),
    };
    let bar = console.bar(dataset.images.len(), "validating");
    let mut progress = || {
        bar.inc(1);
        ControlFlow::Continue(())
    };
    let validation = validate(&pipeline, &dataset, &options, &mut progress)?;
    bar.finish_and_clear();
    for (path, error) in &validation.failed {
        report_unused(path, error, console);
    }
    report::words(&validation, &dataset, args.verbose, console)?;
    console.value(&report::value(&validation, &dataset))?;
    save(args, &pipeline, &dataset, &validation, console)?;
    match validation.failed.len() + dataset.excluded.len() {
        0 => Ok(()),
        count => Err(unused(count, total)),
    }
}

fn report_unused(path: &Path, error: &onelook::Error, console: &Console) {
    console.error(&Failure::from(error), Some(&path.display().to_string()));
}

fn unused(count: usize, total: usize) -> Failure {
    Failure::failed(
        "image",
        format!("{count} of {total} images could not be used, see above"),
    )
}

fn saves(args: &ValArgs) -> bool {
    args.save && (args.plots || args.save_json)
}

/// The thresholds of validation differ from those of prediction: everything counts.
fn pipeline(args: &ValArgs, console: &Console) -> Result<Pipeline, Failure> {
    let model = args.model.load(console)?;
    let mut options: Options = args.fit.options(model.metadata())?;
    options.thresholds.confidence = args.fit.conf.unwrap_or(0.001);
    options.thresholds.multi_label = true;
    options.batch = args.fit.batch.unwrap_or(1).max(model.preferred_batch());
    if options
        .image_size
        .is_some_and(|[height, width]| height != width)
    {
        return Err(Failure::Usage(
            "--imgsz: validation takes one number, images are fitted by their longer side"
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
    if !saves(args) {
        return Ok(());
    }
    let task = pipeline.model().metadata().task();
    let directory = run_directory(args.project.as_deref(), &args.name, args.exist_ok, task)?;
    let file = |name: &str| directory.path().join(name);
    if args.plots {
        plot::precision_recall(&validation.stats, &file("precision_recall.svg"))?;
        let matrix = &validation.stats.confusion;
        plot::confusion(matrix, |id| dataset.name(id), &file("confusion_matrix.svg"))?;
    }
    if args.save_json {
        let path = file("predictions.json");
        let text = report::predictions(validation).to_string();
        write_whole(&path, text.as_bytes())?;
    }
    console.line(format!(
        "Results saved to {}",
        printable_path(directory.path())
    ))
}
