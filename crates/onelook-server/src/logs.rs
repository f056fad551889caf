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
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::traces::{self, Traces};
use line_queue::LineCounters;
pub use line_queue::LineQueue;
use log_files::{LogFilePolicy, LogFiles, ReopenFlag};

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

/// Which lines levels such as `info,onelook::access=warn` have written.
///
/// # Errors
/// Invalid levels.
pub fn parse_levels(levels: &str) -> Result<Targets, String> {
    levels.parse().map_err(|_| {
        format!(
            "--log-level '{levels}': expected trace, debug, info, warn, error or off, or TARGET=LEVEL separated by commas"
        )
    })
}

/// Writes the remaining lines when dropped.
#[must_use = "lines still in memory are written when this is dropped"]
pub struct Logs {
    stderr: LineQueue,
    files: Option<LineQueue>,
    controls: LogControls,
    dropped: IntCounterVec,
    failed: IntCounterVec,
    _traces: Option<Traces>,
}

impl Logs {
    /// Standard error, for lines beside those of the log, in the same order and as unblocking.
    pub fn stderr(&self) -> LineQueue {
        self.stderr.clone()
    }

    /// What can be changed while the process runs.
    pub fn controls(&self) -> LogControls {
        self.controls.clone()
    }

    /// Counters of lines that were dropped or could not be written.
    pub fn collectors(&self) -> [Box<dyn Collector>; 2] {
        [
            Box::new(self.dropped.clone()),
            Box::new(self.failed.clone()),
        ]
    }
}

/// Changes the logs of a running process.
#[derive(Clone)]
pub struct LogControls {
    reopen: ReopenFlag,
    levels: Vec<reload::Handle<Targets, Registry>>,
}

impl LogControls {
    /// Has log files opened anew, after something else has renamed them.
    pub fn reopen_files(&self) {
        self.reopen.set();
    }

    /// Which lines are written from now on.
    pub fn set_levels(&self, levels: &Targets) {
        for handle in &self.levels {
            // Fails once logging has ended, and then there is nothing left to change.
            let _ = handle.reload(levels.clone());
        }
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
    let levels = parse_levels(&options.levels)?;
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
    let (filter, handle) = reload::Layer::new(levels.clone());
    let mut handles = vec![handle];
    let console = fmt::layer()
        .with_writer(stderr.clone())
        .with_ansi(options.colour);
    layers.push(match options.format {
        LogFormat::Text => console.with_filter(filter).boxed(),
        LogFormat::Json => console
            .json()
            .flatten_event(true)
            .with_filter(filter)
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
        let (filter, handle) = reload::Layer::new(levels);
        handles.push(handle);
        layers.push(file.with_filter(filter).boxed());
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
        controls: LogControls {
            reopen,
            levels: handles,
        },
        dropped,
        failed,
        _traces: traces,
    })
}
