//! Checks and times the GPU at hand on one network; a table for people, JSON for machines.
//! Needs nothing but the NVIDIA driver.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

use onelook_cuda::check::{CheckOptions, Checker};
use onelook_cuda::driver::{Context, CubinCache, Driver};
use onelook_graph::read::{ModelFile, ReadOptions, read};
use onelook_graph::{family, pass};

const USAGE: &str = "gpu_check [MODEL] [REPORT.json] [NUMBER]

MODEL is a model file or a name such as yolo11n (that by default); NUMBER is the GPU's (0)";

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Failure> {
    let mut words = env::args().skip(1);
    let name = words.next().unwrap_or_else(|| "yolo11n".to_owned());
    let page: PathBuf = words
        .next()
        .unwrap_or_else(|| "gpu-check.json".to_owned())
        .into();
    let number: usize = words
        .next()
        .map_or(Ok(0), |word| word.parse())
        .map_err(|_| USAGE)?;
    let mut model = network(&name)?;
    pass::optimise(&mut model.graph);
    let context = Context::open(&Driver::open()?, number, None)?;
    let cache = CubinCache::new(env::temp_dir().join("onelook-cubins"));
    let checker = Checker::new(&context, Some(&cache), CheckOptions::default())?;
    let head = Some(&model.metadata.head);
    let report = checker.run(&model.graph, head, |next| eprintln!("{next}"))?;
    writeln!(std::io::stdout(), "{report}")?;
    fs::write(page, serde_json::to_string_pretty(&report)?)?;
    Ok(report.passed())
}

fn network(name: &str) -> Result<ModelFile, Failure> {
    if let Some(model) = family::build(name) {
        return Ok(model);
    }
    let bytes = fs::read(name).map_err(|error| format!("{name}: {error}\n\n{USAGE}"))?;
    Ok(read(&bytes, &ReadOptions::default()).map_err(|error| format!("{name}: {error}"))?)
}
