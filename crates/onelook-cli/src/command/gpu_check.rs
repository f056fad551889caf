//! `onelook gpu-check`: whether a GPU computes what it should, and how quickly.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use onelook::media::{Limits, Source, decode};
use onelook::types::Frame;
use onelook::{CheckEvent, Device, Error, GpuCheck, check_gpu, read_model};
use serde_json::json;

use crate::console::Console;
use crate::failure::{Failure, refused};
use crate::flags::{EngineArgs, GpuCheckArgs};
use crate::options::source_options;
use crate::options::warn_of_random_weights;

/// The sample image, used without --source: a person, a cat and a cup.
const SAMPLE: &[u8] = include_bytes!("../../../../assets/sample.jpg");

/// More images show nothing more.
const MAX_IMAGES: usize = 32;

pub fn run(args: &GpuCheckArgs, console: &Console) -> Result<(), Failure> {
    if args.report.is_some() {
        console.saves_results();
    }
    let device = match args.model.engine.device.as_str() {
        "auto" => "0",
        word => word,
    };
    let engine = EngineArgs {
        device: device.to_owned(),
        ..args.model.engine.clone()
    };
    let Device::Cuda(numbers) = engine.options()?.device else {
        return Err(refuse(
            device,
            "gpu-check is for an NVIDIA GPU, such as --device 0",
        ));
    };
    let [number] = numbers[..] else {
        return Err(refuse(device, "gpu-check takes one GPU at a time"));
    };
    let path = args.model.locate(console)?;
    let options = engine.options()?;
    let model = read_model(&path, &options)?;
    warn_of_random_weights(&path.display().to_string(), &model.metadata, console);
    let frames = frames(&args.source, &args.limits.limits())?;
    let mut written = Ok(());
    let check = check_gpu(
        number,
        &options.engine(),
        args.seed.unwrap_or_else(by_the_clock),
        model,
        &frames,
        |event| match event {
            CheckEvent::Next(step) => console.note(step),
            CheckEvent::Found(found) => {
                if let (Some(file), Ok(())) = (&args.report, &written) {
                    written = write(file, found);
                }
            }
        },
    )?;
    written?;
    let value = json!(check);
    console.line(&check)?;
    console.value(&value)?;
    match check.passed() {
        true => Ok(()),
        false => Err(refuse(
            device,
            "this GPU computes something wrong: see the lines marked WRONG",
        )),
    }
}

/// A number that few checks have had.
fn by_the_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::from(since.subsec_nanos()))
}

fn frames(source: &[String], limits: &Limits) -> Result<Vec<Frame>, Failure> {
    if source.is_empty() {
        let sample = decode(SAMPLE, limits).map_err(|source| Error::Image {
            name: "the built-in image".to_owned(),
            source,
        });
        return Ok(vec![sample?]);
    }
    let source = Source::open(source, &source_options(limits)).map_err(Error::from)?;
    let count = source.len_hint().unwrap_or(usize::MAX);
    if count > MAX_IMAGES {
        return Err(Failure::Usage(format!(
            "--source: these are {count} images, gpu-check takes {MAX_IMAGES} at most"
        )));
    }
    let frames: Result<Vec<Frame>, Error> = source.map(|item| Ok(item.image?.frame)).collect();
    Ok(frames?)
}

fn write(file: &Path, found: &GpuCheck) -> Result<(), Failure> {
    let text = format!("{:#}\n", json!(found));
    std::fs::write(file, text).map_err(refused(file))
}

fn refuse(device: &str, reason: &str) -> Failure {
    Failure::from(Error::Device {
        device: device.to_owned(),
        reason: reason.to_owned(),
    })
}
