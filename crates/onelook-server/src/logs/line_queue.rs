//! Lines on their way to a slow writer: bounded, and never waited for by those who add them.
//!
//! A thread of its own takes the lines and writes them. When it cannot keep up, because nobody reads
//! a pipe or a disk hangs, lines are dropped and counted.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

use crate::locks::lock;

/// Most bytes that wait.
const CAPACITY: usize = 4 << 20;

/// Longest wait for lines to be written when the process ends.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// What a queue counts.
#[derive(Clone)]
pub struct LineCounters {
    /// Lines that were dropped.
    pub dropped: IntCounter,
    /// Writes that failed, such as on a full disk.
    pub failed: IntCounter,
}

/// Takes lines, from any thread; cloned for each.
#[derive(Clone)]
pub struct LineQueue {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// There are lines.
    filled: Condvar,
    /// All lines were written.
    drained: Condvar,
    counters: LineCounters,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    is_writing: bool,
}

impl LineQueue {
    /// A queue before this writer, which gets a thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        name: &str,
        writer: impl Write + Send + 'static,
        counters: LineCounters,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            filled: Condvar::new(),
            drained: Condvar::new(),
            counters,
        });
        let queue = Self {
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new().name(format!("log {name}"));
        let name = name.to_owned();
        thread.spawn(move || shared.write_all(&name, writer))?;
        Ok(queue)
    }

    /// Adds lines, or drops them if there is no room. Never waits for the writer.
    fn push(&self, lines: &[u8]) {
        let mut state = self.shared.lock();
        if state.lines.len() + lines.len() > CAPACITY {
            drop(state);
            let count = lines.iter().filter(|byte| **byte == b'\n').count();
            return self.shared.counters.dropped.inc_by(count.max(1) as u64);
        }
        state.lines.extend_from_slice(lines);
        self.shared.filled.notify_one();
    }

    /// Waits until all lines are written, but not for a writer that does not go on.
    pub fn drain(&self) {
        let end = Instant::now() + FLUSH_LIMIT;
        let mut state = self.shared.lock();
        while state.is_writing || !state.lines.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let drained = &self.shared.drained;
            let waited = drained.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn write_all(&self, name: &str, mut writer: impl Write) {
        let mut works = true;
        let mut lines = Vec::new();
        loop {
            let mut state = self.lock();
            while state.lines.is_empty() {
                state.is_writing = false;
                self.drained.notify_all();
                let filled = self.filled.wait(state);
                state = filled.unwrap_or_else(PoisonError::into_inner);
            }
            state.is_writing = true;
            lines.clear();
            std::mem::swap(&mut lines, &mut state.lines);
            drop(state);
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                let written = writer.write_all(line).and_then(|()| writer.flush());
                if let Err(error) = &written {
                    self.counters.failed.inc();
                    // Once, for the other logs: each line of this one fails too.
                    if works {
                        tracing::error!(%error, "lines of the log on {name} are lost");
                    }
                }
                works = written.is_ok();
            }
        }
    }
}

/// Each write is a line or several; none fails.
impl Write for LineQueue {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.push(lines);
        Ok(lines.len())
    }

    /// Waits as [`LineQueue::drain`] does.
    fn flush(&mut self) -> io::Result<()> {
        self.drain();
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineQueue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn counters() -> LineCounters {
        let counter = |name| IntCounter::new(name, name).unwrap();
        LineCounters {
            dropped: counter("dropped"),
            failed: counter("failed"),
        }
    }

    /// Sends what is written; waits while nobody takes it.
    struct Pipe(mpsc::SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let gone = |_| io::ErrorKind::BrokenPipe;
            self.0.send(bytes.to_vec()).map_err(gone)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_arrive_whole_and_in_order() {
        let (sender, receiver) = mpsc::sync_channel(1000);
        let counters = counters();
        let mut queue = LineQueue::start("test", Pipe(sender), counters.clone()).unwrap();
        for number in 0..100 {
            writeln!(queue, "line {number}").unwrap();
        }
        queue.flush().unwrap();
        let lines: Vec<u8> = receiver.try_iter().flatten().collect();
        let expected: String = (0..100).map(|number| format!("line {number}\n")).collect();
        assert_eq!(String::from_utf8(lines).unwrap(), expected);
        assert_eq!(counters.dropped.get(), 0);
    }

    #[test]
    fn a_writer_that_stands_still_costs_lines_and_no_time() {
        let (sender, receiver) = mpsc::sync_channel(0);
        let counters = counters();
        let queue = LineQueue::start("test", Pipe(sender), counters.clone()).unwrap();
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        let lines = 3 * CAPACITY / line.len();
        for _ in 0..lines {
            queue.push(&line);
        }
        let dropped = counters.dropped.get() as usize;
        assert!((lines / 3 - 1..lines).contains(&dropped), "{dropped}");
        let start = Instant::now();
        queue.drain();
        assert!(start.elapsed() < FLUSH_LIMIT * 3);
        drop(receiver);
        queue.drain();
        assert!(counters.failed.get() > 0, "a lost reader is counted");
    }
}
