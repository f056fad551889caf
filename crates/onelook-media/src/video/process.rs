//! A program as a child process: its output read with a deadline, what it says kept within bounds, its end
//! enforced.
//!
//! It has a process group of its own, so that Ctrl-C at a terminal does not reach it before its results are
//! taken. Whatever happens to whoever holds it, no process is left: neither running nor a zombie.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::error::VideoError;
use super::input_pipe::InputPipe;
use super::redact::Redactor;
use crate::stop::{Registration, StopHandle};

/// Bytes of a line of standard error that are looked through for secrets.
const READ_BYTES: usize = 16 << 10;
/// Bytes of it that are kept.
const LINE_BYTES: usize = 400;
/// Lines that are kept, of the first and of the last.
const LINES: usize = 4;
/// How long a program may take to end after its output has, and after it was killed: the system does not end
/// one that waits for a disk which hangs.
const END: Duration = Duration::from_secs(5);

/// A running program.
pub(super) struct Process {
    child: Child,
    status: Option<ExitStatus>,
    /// It was killed.
    is_killed: bool,
    registration: Registration,
    said: Arc<Mutex<StderrLines>>,
    /// Told when standard error has ended.
    silent: Receiver<()>,
}

/// What a program said on standard error.
#[derive(Default)]
pub(super) struct StderrLines {
    first: Vec<String>,
    last: VecDeque<String>,
}

impl Process {
    /// Starts it. `script` goes to its standard input, which is closed then, at once without a script.
    /// `stop` ends it from elsewhere.
    pub(super) fn start(
        mut command: Command,
        script: Option<&str>,
        redactor: Redactor,
        stop: &StopHandle,
    ) -> Result<(Self, Output), VideoError> {
        let stdin = script.map_or_else(Stdio::null, |_| Stdio::piped());
        command.stdin(stdin).stdout(Stdio::piped());
        let mut process = Self::spawn(command, redactor, stop)?;
        if let (Some(script), Some(mut stdin)) = (script, process.child.stdin.take()) {
            // A script fits into the pipe. One that is not read is missed by the program itself.
            let _ = stdin.write_all(script.as_bytes());
        }
        let pipe = process.child.stdout.take().expect("it was asked for");
        Ok((
            process,
            Output {
                pipe,
                deadline: None,
            },
        ))
    }

    /// Starts one that is fed through its standard input and writes no output. Feeding it is an error when it
    /// takes nothing for as long as `patience`.
    pub(super) fn start_fed(
        mut command: Command,
        patience: Duration,
        redactor: Redactor,
        stop: &StopHandle,
    ) -> Result<(Self, InputPipe), VideoError> {
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut process = Self::spawn(command, redactor, stop)?;
        let stdin = process.child.stdin.take().expect("it was asked for");
        let stdin = InputPipe::new(stdin, patience).map_err(start_error)?;
        Ok((process, stdin))
    }

    fn spawn(
        mut command: Command,
        redactor: Redactor,
        stop: &StopHandle,
    ) -> Result<Self, VideoError> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start_error)?;
        let said = Arc::new(Mutex::new(StderrLines::default()));
        let (sender, silent) = channel();
        if let Some(stderr) = child.stderr.take() {
            let said = said.clone();
            let listen = move || {
                listen(stderr, &redactor, &said);
                drop(sender);
            };
            let thread = thread::Builder::new().name("video-log".to_owned());
            if let Err(error) = thread.spawn(listen) {
                kill(child.id());
                let _ = child.wait();
                return Err(start_error(error));
            }
        }
        let id = child.id();
        Ok(Self {
            registration: stop.on_stop(move || kill(id)),
            child,
            status: None,
            is_killed: false,
            said,
            silent,
        })
    }

    /// Waits for its end, which is near when its output has ended; ends it when it does not come.
    pub(super) fn wait(&mut self) -> Option<ExitStatus> {
        self.wait_for(END)
    }

    /// Waits for its end so long, then ends it.
    pub(super) fn wait_for(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.wait_while(patience, || ())
    }

    /// Waits for its end, then ends it when its work has stayed the same for so long.
    pub(super) fn wait_while<W: PartialEq>(
        &mut self,
        patience: Duration,
        work: impl Fn() -> W,
    ) -> Option<ExitStatus> {
        let (mut deadline, mut last) = (Instant::now() + patience, work());
        let mut pause = Duration::from_millis(1);
        while self.status.is_none() {
            let now = work();
            if now != last {
                (deadline, last) = (Instant::now() + patience, now);
            }
            if Instant::now() > deadline {
                self.kill();
                break;
            }
            if !self.reap() {
                thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
        }
        // Its last words may still be on their way.
        let _ = self.silent.recv_timeout(Duration::from_secs(1));
        self.status
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        if self.status.is_none() && !self.is_killed {
            self.is_killed = true;
            let child = &mut self.child;
            // No stop comes in between: once waited for, its number may be another process's.
            self.status = self.registration.take_back_if(|| {
                kill(child.id());
                (true, wait_briefly(child))
            });
        }
    }

    /// Whether its end has come.
    pub(super) fn has_ended(&mut self) -> bool {
        self.status.is_some() || self.reap()
    }

    /// Takes note of its end, if it has come. No signal is sent to its number afterwards: another process
    /// may have it.
    fn reap(&mut self) -> bool {
        let child = &mut self.child;
        self.status = self.registration.take_back_if(|| {
            let status = child.try_wait().ok().flatten();
            (status.is_some(), status)
        });
        self.status.is_some()
    }

    /// The first line that it said, but for those that begin so; or nothing.
    pub(super) fn first_words(&self, ignored: &[&str]) -> String {
        let said = lock(&self.said);
        let mut lines = said.first.iter().chain(&said.last);
        let is_ignored = |line: &str| ignored.iter().any(|start| line.starts_with(start));
        let line = lines.find(|line| !is_ignored(line));
        line.cloned().unwrap_or_default()
    }

    /// What it has said so far is not kept.
    pub(super) fn forget_words(&self) {
        *lock(&self.said) = StderrLines::default();
    }

    /// The last line that it said, or nothing.
    pub(super) fn last_words(&self) -> String {
        let said = lock(&self.said);
        said.last
            .back()
            .or(said.first.last())
            .cloned()
            .unwrap_or_default()
    }

    /// What `read` makes of the first line that is kept and that it knows.
    pub(super) fn find_line<T>(&self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let said = lock(&self.said);
        let mut lines = said.first.iter().chain(&said.last);
        lines.find_map(|line| read(line))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start_error(error: io::Error) -> VideoError {
    VideoError::Start {
        reason: error.to_string(),
    }
}

/// Waits for a process that was killed.
fn wait_briefly(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + END;
    let mut pause = Duration::from_micros(100);
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().ok()? {
            return Some(status);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    None
}

/// Ends a process and all that it started.
fn kill(id: u32) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(id)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    #[cfg(not(unix))]
    let _ = id;
}

/// Reads until the end, whatever comes and how much.
fn listen(mut stderr: impl Read, redactor: &Redactor, said: &Mutex<StderrLines>) {
    let mut buffer = [0; 4096];
    let mut line = Vec::new();
    loop {
        let read = match stderr.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        for &byte in &buffer[..read] {
            if matches!(byte, b'\n' | b'\r') {
                keep(&mut line, redactor, said);
            } else if line.len() < READ_BYTES {
                line.push(byte);
            }
        }
    }
    keep(&mut line, redactor, said);
}

fn keep(line: &mut Vec<u8>, redactor: &Redactor, said: &Mutex<StderrLines>) {
    let text = String::from_utf8_lossy(line);
    // Addresses come by standard input, which ffmpeg then names instead.
    let mut text = redactor.redact(text.trim().trim_start_matches("pipe:0: "));
    // Only now: half of a secret would not be known.
    text.truncate(text.floor_char_boundary(LINE_BYTES));
    line.clear();
    if text.is_empty() {
        return;
    }
    let mut said = lock(said);
    if said.first.len() < LINES {
        said.first.push(text);
        return;
    }
    if said.last.len() == LINES {
        said.last.pop_front();
    }
    said.last.push_back(text);
}

fn lock(said: &Mutex<StderrLines>) -> MutexGuard<'_, StderrLines> {
    said.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// What a program writes, as far as it comes in time.
pub(super) struct Output {
    pipe: ChildStdout,
    deadline: Option<Instant>,
}

impl Output {
    /// Reading is an error of the kind `TimedOut` from then on.
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait_for_bytes()?;
        self.pipe.read(buffer)
    }
}

impl Output {
    #[cfg(unix)]
    fn wait_for_bytes(&self) -> io::Result<()> {
        use rustix::event::PollFlags;
        match self.deadline {
            Some(deadline) => {
                super::pipe_wait::wait_until_ready(&self.pipe, PollFlags::IN, deadline)
            }
            None => Ok(()),
        }
    }

    /// Without a watch: the pipes of other systems cannot be waited for.
    #[cfg(not(unix))]
    fn wait_for_bytes(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_without_end_is_kept_within_bounds() {
        let said = Mutex::new(StderrLines::default());
        let flood = format!("first\n{}last line", "x".repeat(9000) + "\n").repeat(500);
        listen(flood.as_bytes(), &Redactor::default(), &said);
        let said = lock(&said);
        assert_eq!(said.first[0], "first");
        assert_eq!(said.last.back().map(String::as_str), Some("last line"));
        assert!(said.first.len() + said.last.len() <= 2 * LINES);
        assert!(said.last.iter().all(|line| line.len() <= LINE_BYTES));
    }

    #[test]
    fn a_secret_at_the_end_of_a_long_line_is_taken_out_whole() {
        let redactor = Redactor::new("rtsp://me:pass word@host/a");
        for at in LINE_BYTES - 30..LINE_BYTES {
            let said = Mutex::new(StderrLines::default());
            let line = format!("{} me:pass word@host: {}", "x".repeat(at), "y".repeat(9000));
            listen(line.as_bytes(), &redactor, &said);
            let said = lock(&said);
            assert!(!said.first[0].contains("me:"), "{}", said.first[0]);
            assert!(said.first[0].len() <= LINE_BYTES);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_process_is_waited_for_while_its_work_goes_on() {
        let started = |seconds: &str| {
            let mut command = Command::new("sleep");
            command.arg(seconds);
            Process::start_fed(command, END, Redactor::default(), &StopHandle::default())
                .unwrap()
                .0
        };
        let patience = Duration::from_millis(20);
        let count = std::cell::Cell::new(0);
        let work = || count.replace(count.get() + 1);
        let status = started("0.3").wait_while(patience, work);
        assert!(status.unwrap().success());
        let status = started("600").wait_while(patience, || 7);
        assert!(!status.unwrap().success());
    }
}
