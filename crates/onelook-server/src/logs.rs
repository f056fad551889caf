//! Structured logs: to standard error as text or JSON, to files that rotate, and as traces to a
//! collector.
//!
//! No answer waits for a log. Lines that cannot be written in time, because nobody reads standard error
//! or a disk hangs, are dropped and counted.

mod line_queue;
mod log_files;

use std::path::PathBuf;

use prometheus::core::Collector;
use prometheus::{IntCounterVec, Opts};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::traces::{self, Traces};
use line_queue::LineCounters;
pub use line_queue::LineQueue;
pub use log_files::ReopenFlag;
use log_files::{LogFilePolicy, LogFiles};

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Where logs go, and which.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The format on standard error.
    pub format: LogFormat,
    /// Levels: `info`, or by target as in `info,onelook::access=warn`. Access lines have the
    /// target `onelook::access`.
    pub levels: String,
    /// A directory for files with JSON lines, at least one per day.
    pub directory: Option<PathBuf>,
    /// Number of files to keep.
    pub keep: usize,
    /// Size in bytes from which on a new file is begun.
    pub max_bytes: Option<u64>,
    /// Whether to use colours on standard error.
    pub colour: bool,
    /// Address of an OpenTelemetry collector for traces (OTLP over gRPC).
    pub otlp: Option<String>,
}

impl LogOptions {
    /// Which lines are written.
    ///
    /// # Errors
    /// Invalid levels.
    pub fn targets(&self) -> Result<Targets, String> {
        self.levels.parse().map_err(|_| {
            format!(
                "--log-level '{}': expected trace, debug, info, warn, error or off, or TARGET=LEVEL separated by commas",
                self.levels
            )
        })
    }
}

/// Writes the remaining lines when dropped.
#[must_use = "lines still in memory are written when this is dropped"]
pub struct Logs {
    stderr: LineQueue,
    files: Option<LineQueue>,
    reopen: ReopenFlag,
    dropped: IntCounterVec,
    failed: IntCounterVec,
    _traces: Option<Traces>,
}

impl Logs {
    /// Standard error, for lines beside those of the log, in the same order and as unblocking.
    pub fn stderr(&self) -> LineQueue {
        self.stderr.clone()
    }

    /// Has log files opened anew, after something else has renamed them.
    pub fn reopener(&self) -> ReopenFlag {
        self.reopen.clone()
    }

    /// Counters of lines that were dropped or could not be written.
    pub fn collectors(&self) -> [Box<dyn Collector>; 2] {
        [
            Box::new(self.dropped.clone()),
            Box::new(self.failed.clone()),
        ]
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.stderr.drain();
        if let Some(files) = &self.files {
            files.drain();
        }
    }
}

/// Starts logging for the whole process. With traces, this needs a tokio runtime.
///
/// # Errors
/// Invalid levels, a directory that cannot be written to, or logging that was already started.
pub fn start(options: &LogOptions) -> Result<Logs, String> {
    let levels = options.targets()?;
    let counter = |name, help| {
        IntCounterVec::new(Opts::new(name, help), &["log"]).expect("name and label are valid")
    };
    let dropped = counter(
        "onelook_log_lines_dropped_total",
        "Lines of the log that were dropped because they could not be written in time.",
    );
    let failed = counter(
        "onelook_log_write_errors_total",
        "Lines of the log that could not be written, such as on a full disk.",
    );
    let counters = |log: &str| LineCounters {
        dropped: dropped.with_label_values(&[log]),
        failed: failed.with_label_values(&[log]),
    };
    let no_thread = |error| format!("the thread of a log could not be started: {error}");
    let stderr = LineQueue::start("standard error", std::io::stderr(), counters("stderr"));
    let stderr = stderr.map_err(no_thread)?;
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = Vec::new();
    let console = fmt::layer()
        .with_writer(stderr.clone())
        .with_ansi(options.colour);
    layers.push(match options.format {
        LogFormat::Text => console.with_filter(levels.clone()).boxed(),
        LogFormat::Json => console
            .json()
            .flatten_event(true)
            .with_filter(levels.clone())
            .boxed(),
    });
    let mut files = None;
    let reopen = ReopenFlag::default();
    if let Some(directory) = &options.directory {
        let policy = LogFilePolicy {
            directory: directory.clone(),
            keep: options.keep,
            max_bytes: options.max_bytes,
        };
        let opened = LogFiles::open(policy, reopen.clone());
        let opened =
            opened.map_err(|error| format!("--log-dir '{}': {error}", directory.display()))?;
        let queue = LineQueue::start("files", opened, counters("files")).map_err(no_thread)?;
        let file = fmt::layer()
            .json()
            .flatten_event(true)
            .with_ansi(false)
            .with_writer(queue.clone());
        layers.push(file.with_filter(levels).boxed());
        files = Some(queue);
    }
    let mut traces = None;
    if let Some(endpoint) = &options.otlp {
        let (layer, own) = traces::layer(endpoint)?;
        traces = Some(own);
        layers.push(layer);
    }
    tracing_subscriber::registry()
        .with(layers)
        .try_init()
        .map_err(|error| error.to_string())?;
    Ok(Logs {
        stderr,
        files,
        reopen,
        dropped,
        failed,
        _traces: traces,
    })
}
