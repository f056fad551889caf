//! Images of containers, built and tried by `scripts/containers/check.py`.

use std::process::Command;

use crate::python::{TRIPLE, build_in_place, development_binary, wheel};
use crate::shell::{Outcome, command, interpreter, read, target};

/// What the script exits with where no Docker daemon can be had.
const NOT_TRIED: i32 = 77;

/// Builds and tries the images; with `--development` from binary and package as tests have built them,
/// which says nothing about sizes. Further arguments go to the script.
pub fn containers(args: &[String]) -> Outcome {
    let mut script = command(&interpreter());
    script.arg("scripts/containers/check.py");
    let rest = match args.split_first() {
        Some((first, rest)) if first == "--development" => {
            build_in_place()?;
            script.arg("--binary").arg(development_binary());
            script.args(["--package", "crates/onelook-python", "--limit", "200"]);
            rest
        }
        _ => {
            wheel()?;
            let binary = target().join(TRIPLE).join("release/onelook");
            let out = target().join("containers-out");
            script
                .arg("--binary")
                .arg(binary)
                .args(["--features", "parquet"]);
            script.arg("--wheel").arg(newest_wheel()?);
            script.arg("--out").arg(out).args(["--ffmpeg", "--twice"]);
            args
        }
    };
    tried(script.args(rest))
}

fn newest_wheel() -> Outcome<String> {
    let listed = read(command("ls").arg("-t").arg(target().join("wheels")))?;
    let name = listed.lines().find(|name| name.ends_with(".whl"));
    let name = name.ok_or("there is no wheel")?;
    Ok(target().join("wheels").join(name).display().to_string())
}

/// A failed test is an error; that nothing could be tried here is said loudly.
fn tried(script: &mut Command) -> Outcome {
    let status = script
        .status()
        .map_err(|error| format!("python3: {error}"))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(NOT_TRIED) => {
            eprintln!("\nWARNING: images of containers were NOT tried, for the reason above\n");
            Ok(())
        }
        _ => Err(format!("scripts/containers/check.py: {status}")),
    }
}
