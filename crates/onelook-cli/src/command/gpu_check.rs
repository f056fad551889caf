//! `onelook gpu-check`: whether a GPU computes what it should, and how quickly.

use std::path::PathBuf;

use clap::Args;
use onelook::{Device, check_gpu, read_model};
use serde_json::json;

use crate::args::{EngineArgs, ModelArgs, warn_of_random_weights};
use crate::console::Console;
use crate::failure::Failure;

/// Checks an NVIDIA GPU: every kernel against f64 and the interpreter, the network against the CPU
/// engine; measures launches, memory and the network's times. Needs nothing but the driver.
#[derive(Args)]
pub struct GpuCheckArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Also write everything that was found to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub fn run(args: &GpuCheckArgs, console: &Console) -> Result<(), Failure> {
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
    let model = read_model(&path, &engine.options()?)?;
    warn_of_random_weights(&path.display().to_string(), &model.metadata, console);
    let check = check_gpu(number, model, |next| console.note(next))?;
    let value = json!(check);
    if let Some(file) = &args.report {
        let text = format!("{value:#}\n");
        std::fs::write(file, text).map_err(|source| onelook::Error::File {
            path: file.clone(),
            source,
        })?;
    }
    console.line(&check);
    console.value(&value);
    match check.passed() {
        true => Ok(()),
        false => Err(refuse(
            device,
            "this GPU computes something wrong: see the lines marked WRONG",
        )),
    }
}

fn refuse(device: &str, reason: &str) -> Failure {
    Failure::from(onelook::Error::Device {
        device: device.to_owned(),
        reason: reason.to_owned(),
    })
}
