//! Structured logs: to standard error as text or JSON, to files that rotate daily, and as traces to a
//! collector.

use std::path::{Path, PathBuf};

use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::traces::{self, Traces};

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
    /// A directory for files with JSON lines, one per day.
    pub directory: Option<PathBuf>,
    /// Number of days to keep.
    pub keep: usize,
    /// Whether to use colours on standard error.
    pub colour: bool,
    /// Address of an OpenTelemetry collector for traces (OTLP over gRPC).
    pub otlp: Option<String>,
}

/// Writes the remaining lines when dropped.
#[must_use = "lines still in memory are written when this is dropped"]
pub struct Logs {
    _files: Option<WorkerGuard>,
    _traces: Option<Traces>,
}

/// Starts logging for the whole process. With traces, this needs a tokio runtime.
///
/// # Errors
/// Invalid levels, a directory that cannot be written to, or logging that was already started.
pub fn start(options: &LogOptions) -> Result<Logs, String> {
    let levels: Targets = options.levels.parse().map_err(|_| {
        format!(
            "--log-level '{}': expected trace, debug, info, warn, error or off, or TARGET=LEVEL separated by commas",
            options.levels
        )
    })?;
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = Vec::new();
    let console = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(options.colour);
    layers.push(match options.format {
        LogFormat::Text => console.with_filter(levels.clone()).boxed(),
        LogFormat::Json => console
            .json()
            .flatten_event(true)
            .with_filter(levels.clone())
            .boxed(),
    });
    let mut guard = None;
    if let Some(directory) = &options.directory {
        let (writer, own) = tracing_appender::non_blocking(files(directory, options.keep)?);
        guard = Some(own);
        let file = fmt::layer()
            .json()
            .flatten_event(true)
            .with_ansi(false)
            .with_writer(writer);
        layers.push(file.with_filter(levels).boxed());
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
        _files: guard,
        _traces: traces,
    })
}

fn files(directory: &Path, keep: usize) -> Result<RollingFileAppender, String> {
    let refused = |reason: String| format!("--log-dir '{}': {reason}", directory.display());
    std::fs::create_dir_all(directory).map_err(|error| refused(error.to_string()))?;
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("onelook")
        .filename_suffix("log")
        .max_log_files(keep.max(1))
        .build(directory)
        .map_err(|error| refused(error.to_string()))
}
