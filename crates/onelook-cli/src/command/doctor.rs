//! `onelook doctor`: which devices there are, which was chosen and why, and whether it computes rightly.

use std::time::Instant;

use onelook::{
    SamplePass, available_memory, found_devices, random, registry, sample_pass, usable_cores,
};
use serde_json::json;

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::DoctorArgs;

/// Largest difference from the reference executor, as a part of the largest value, that sums in another
/// order and 16-bit floating-point numbers can make.
const TOLERANCE: f32 = 0.01;

pub fn run(args: &DoctorArgs, console: &Console) -> Result<(), Failure> {
    let devices = found_devices();
    for device in &devices {
        let mark = if device.usable { "ok" } else { "no" };
        console.line(format!(
            "device    [{mark}] {} ({})",
            device.name, device.remark
        ))?;
    }
    let options = args.model.options()?;
    let chosen = options.device.open(&options.engine())?;
    let engine = chosen.backend.describe();
    console.line(format!("chosen    {engine}"))?;
    console.line(format!("because   {}", chosen.reason))?;
    if let Some(warning) = &chosen.warning {
        console.line(format!("warning   {warning}"))?;
    }
    let memory = available_memory();
    let memory_text = memory.map_or_else(
        || "unknown".to_owned(),
        |bytes| format!("{:.1} GB available", bytes as f64 / 1e9),
    );
    console.line(format!("memory    {memory_text}"))?;
    console.line(format!("models    {}", registry::directory().display()))?;
    let start = Instant::now();
    let (what, input, output, worst) = match args.model.model {
        None => {
            let SamplePass {
                input,
                output,
                worst_difference,
            } = sample_pass(&options.device, &options.engine())?;
            let what = "tiny built-in network".to_owned();
            (what, input, output, Some(worst_difference))
        }
        Some(_) => {
            let model = args.model.load(console)?;
            let [height, width] = model.metadata().image_size;
            let input = random([1, 3, height, width], 1.0);
            let output = model.output0(&input)?;
            let (input, output) = (input.shape().clone(), output.shape().clone());
            (model.name().to_owned(), input, output, None)
        }
    };
    let elapsed = start.elapsed().as_secs_f64() * 1e3;
    console.line(format!(
        "sample    {what}: {input} random values in, {output} out, {elapsed:.1} ms with loading"
    ))?;
    if let Some(worst) = worst {
        console.line(format!(
            "compared  largest difference from the reference executor: {worst:.1e} of the largest value"
        ))?;
        if worst.is_nan() || worst > TOLERANCE {
            let message = format!(
                "{engine} computes wrongly: {worst} of the largest value away from the reference executor"
            );
            return Err(Failure::failed("wrong", message));
        }
    }
    console.line("all is well")?;
    console.value(&json!({
        "devices": devices.iter().map(|device| json!({
            "name": device.name, "usable": device.usable, "remark": device.remark,
        })).collect::<Vec<_>>(),
        "chosen": engine,
        "because": chosen.reason,
        "warning": chosen.warning,
        "cores": usable_cores(),
        "memory_bytes": memory,
        "models": registry::directory().display().to_string(),
        "sample": {
            "model": what, "input": input.to_vec(), "output": output.to_vec(), "worst_difference": worst,
        },
    }))?;
    Ok(())
}
