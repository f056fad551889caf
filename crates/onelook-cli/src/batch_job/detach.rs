//! `--detach`: the same command again as a program of its own, which the end of a terminal or of a connection over
//! SSH does not end.

use std::env;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use onelook::printable::printable_path;

use super::output::JobOutput;
use super::part_files::OWN_DIRECTORY;
use crate::console::Console;
use crate::failure::{Failure, refused};

/// Says to a program that it is the one in the background.
const VARIABLE: &str = "ONELOOK_DETACHED_JOB";

const POLL: Duration = Duration::from_millis(20);

/// Whether this is the program in the background.
pub fn is_detached() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Makes the program in the background independent of the terminal that it was started from.
pub fn leave_terminal() {
    if is_detached() {
        // It fails only for the leader of a group, which nobody has made this program.
        let _ = rustix::process::setsid();
    }
}

/// Starts the program in the background, and waits until it is at the shard or has failed.
pub fn start(output: &JobOutput, console: &Console) -> Result<(), Failure> {
    let own = output.directory().join(OWN_DIRECTORY);
    fs::create_dir_all(&own).map_err(refused(&own))?;
    let named = |ending: &str| own.join(format!("{}.{ending}", output.shard_name()));
    let log_path = named("log");
    let log = File::options().create(true).append(true).open(&log_path);
    let log = log.map_err(refused(&log_path))?;
    let begun = log.metadata().map_err(refused(&log_path))?.len();
    let program = env::current_exe().map_err(|error| {
        Failure::failed("job", format!("this program cannot be found: {error}"))
    })?;
    let output_log = log.try_clone().map_err(refused(&log_path))?;
    let mut child = Command::new(program)
        .args(env::args_os().skip(1))
        .env(VARIABLE, "1")
        .stdin(Stdio::null())
        .stdout(output_log)
        .stderr(log)
        .spawn()
        .map_err(|error| Failure::failed("job", format!("it cannot be started: {error}")))?;
    let (lock, settings) = (named("lock"), named("json"));
    // `onelook jobs` knows a job by its settings, which are written when the lock is held.
    let is_at_it = |process: u32| {
        let holder = fs::read_to_string(&lock).unwrap_or_default();
        holder.split_whitespace().next() == Some(process.to_string().as_str()) && settings.exists()
    };
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            let log = fs::read(&log_path).unwrap_or_default();
            let said =
                String::from_utf8_lossy(log.get(begun as usize..).unwrap_or_default()).into_owned();
            let said = said.trim();
            return match status.success() {
                true => console.line(said),
                false => Err(Failure::failed("job", said.trim_start_matches("error: "))),
            };
        }
        if is_at_it(child.id()) {
            return console.line(format!(
                "process {} is at it; `onelook jobs follow {}` shows how far, '{}' has what it says",
                child.id(),
                printable_path(output.path()),
                printable_path(&log_path)
            ));
        }
        thread::sleep(POLL);
    }
}
