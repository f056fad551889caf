//! Figures that README states, each by one command: peers, cold start, build cost, binary size.

use std::time::Instant;
use std::{env, fs};

use crate::shell::{Outcome, cargo, command, interpreter, root, run};

/// Fetches a model by the product's own `models fetch`.
pub fn model(args: &[String]) -> Outcome {
    let name = args.first().map_or("yolo26n", String::as_str);
    run(&mut cargo(&[
        "run",
        "--release",
        "--locked",
        "--",
        "models",
        "fetch",
        name,
    ]))
}

/// The forward pass of every CPU engine beside onelook's.
pub fn peers(args: &[String]) -> Outcome {
    let python = interpreter();
    run(command(&python).arg("benches/peers/peers.py").args(args))
}

/// Process start to first box, onelook against a short onnxruntime script.
pub fn cold_start(args: &[String]) -> Outcome {
    run(&mut cargo(&["build", "--release", "--locked"]))?;
    let python = interpreter();
    run(command(&python).arg("benches/cold_start.py").args(args))
}

/// CPU seconds of a cold release build and the size of the stripped binary.
pub fn size() -> Outcome {
    let folder = env::temp_dir().join(format!("onelook-cold-build-{}", std::process::id()));
    run(&mut cargo(&["fetch", "--locked"]))?;
    let (cpu_before, start) = (children_cpu_seconds()?, Instant::now());
    let built = run(cargo(&["build", "--release", "--locked"]).env("CARGO_TARGET_DIR", &folder));
    let cpu = children_cpu_seconds()? - cpu_before;
    let bytes = fs::metadata(folder.join("release/onelook")).map(|file| file.len());
    // The folder is ours and temporary: what stays of it does no harm.
    let _ = fs::remove_dir_all(&folder);
    built?;
    let bytes = bytes.map_err(|error| format!("the binary: {error}"))?;
    eprintln!(
        "\ncold release build: {cpu:.0} CPU seconds, {:.0} s on the clock; binary {:.1} MB ({bytes} bytes)",
        start.elapsed().as_secs_f64(),
        bytes as f64 / 1e6,
    );
    eprintln!("sources: {}", root().display());
    Ok(())
}

/// User and system time of all children that ended, by Linux's accounts.
fn children_cpu_seconds() -> Outcome<f64> {
    let text = fs::read_to_string("/proc/self/stat")
        .map_err(|error| format!("CPU time is read from /proc/self/stat: {error}"))?;
    // The second field is a name in parentheses; cutime and cstime are fields 16 and 17.
    let after_name = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks = fields.get(13..15).unwrap_or_default().iter();
    let ticks: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
    // USER_HZ has been 100 on every Linux that we run on.
    Ok(ticks / 100.0)
}
