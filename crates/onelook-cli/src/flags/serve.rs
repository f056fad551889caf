//! Flags of `onelook serve`.

use std::path::PathBuf;

use clap::Args;
#[cfg(unix)]
use onelook_server::ZmqEndpoint;
use onelook_server::{Network, UrlHost};

use super::config_file::Settings;
use super::delivery::DeliveryArgs;
use super::model::EngineArgs;

/// Serves models over HTTP and gRPC, with a web page.
#[derive(Args)]
pub struct ServeArgs {
    /// TOML file whose keys are the flags of this command, with dashes or underscores. What is typed
    /// takes precedence, then variables such as ONELOOK_SERVE_PORT for --port, then the file. SIGHUP
    /// reads it again: token-file, tls-cert, tls-key and log-level count at once, the rest at the next
    /// start.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check flags, file, tokens, certificate, models and directories without starting: exit code 0, or 1
    /// and what is wrong.
    #[arg(long)]
    pub check_config: bool,
    /// What the file said, by the flag's name.
    #[arg(skip)]
    pub settings: Settings,
    /// Model: FILE or NAME=FILE, or a name of `onelook models list`; several by repeating the
    /// flag. The first is the default. Without it yolo11n, or yolo26n where only a package mirror
    /// can be reached.
    #[arg(long, short, value_name = "[NAME=]FILE")]
    pub model: Vec<String>,
    /// Directory whose model files are served too, named by their file names.
    #[arg(long, value_name = "DIR")]
    pub model_dir: Option<PathBuf>,
    /// Directory that links in --model-dir may lead into [default: that of --model-dir]
    #[arg(long, value_name = "DIR")]
    pub model_root: Option<PathBuf>,
    /// Try models that cannot be loaded again and again, at most 30 seconds apart, instead of ending
    /// when none of --model can be loaded.
    #[arg(long)]
    pub keep_trying: bool,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Address to listen on; 0.0.0.0 for all.
    #[arg(long, default_value = "127.0.0.1", value_name = "HOST")]
    pub host: String,
    /// Port for HTTP; 0 for any that is free. It answers gRPC too.
    #[arg(long, short, default_value_t = 8000, value_name = "PORT")]
    pub port: u16,
    /// Second port, for gRPC clients that expect a port of their own; `none` for none.
    #[arg(long, default_value = "8001", value_name = "PORT|none")]
    pub grpc_port: OptionalPort,
    /// Port for /metrics alone; the HTTP port has it too.
    #[arg(long, default_value = "none", value_name = "PORT|none")]
    pub metrics_port: OptionalPort,
    /// Most images in one run [default: as many as the device gains from]
    #[arg(long, alias = "batch", value_name = "N")]
    pub max_batch: Option<usize>,
    /// Longest time in milliseconds that a decoded image waits for others to share its run.
    #[arg(long, default_value_t = 2.0, value_name = "MS")]
    pub max_delay: f64,
    /// Most requests that wait for a model; more are refused at once.
    #[arg(long, default_value_t = 128, value_name = "N")]
    pub queue: usize,
    /// Longest time in seconds from the end of a request to its response.
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    pub timeout: f64,
    /// Seconds between SIGTERM and the stop: /readyz fails at once, everything else is answered.
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    pub drain_delay: f64,
    /// Most megabytes of one request.
    #[arg(long, default_value_t = 64, value_name = "MB")]
    pub max_body: usize,
    /// Most megapixels of one image.
    #[arg(long, default_value_t = 64, value_name = "MP")]
    pub max_pixels: u64,
    /// Most images in one request.
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub max_images: usize,
    /// Longest side of the network's input that a request may ask for.
    #[arg(long, default_value_t = 1920, value_name = "PIXELS")]
    pub max_imgsz: usize,
    /// Most megabytes that requests hold together: bodies, what they are parsed into, unread answers.
    /// One client gets what all leave free, so never more than half.
    #[arg(long, default_value_t = 512, value_name = "MB")]
    pub max_memory: usize,
    /// Most megabytes that images take while they are decoded and run; further ones wait. One client
    /// gets what all leave free.
    #[arg(long, default_value_t = 1024, value_name = "MB")]
    pub max_working_memory: usize,
    /// Longest time in seconds that a body, or the reading of an answer, may stall.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    pub stall_timeout: f64,
    /// Lowest rate in kilobytes per second at which a body may be sent, or an answer be read.
    #[arg(long, default_value_t = 8, value_name = "KB")]
    pub min_rate: u32,
    /// Most connections at one time; idle ones, also with gRPC streams between messages, are closed for
    /// new ones [default: 12000, or what the system's limit on open files allows]
    #[arg(long, value_name = "N")]
    pub max_connections: Option<usize>,
    /// Most connections of one address [default: half of all]
    #[arg(long, value_name = "N")]
    pub max_connections_per_address: Option<usize>,
    /// File with a token per line: TOKEN, NAME TOKEN or NAME TOKEN SCOPE (read, infer, admin), a
    /// token also as sha256:HEX; `high` after the scope allows x-priority: high. Read again when it
    /// changes. ONELOOK_TOKENS holds such lines too, and ONELOOK_TOKEN one token.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Origin whose pages may call this server, `*` for all; several by repeating the flag.
    #[arg(long, value_name = "ORIGIN")]
    pub cors: Vec<String>,
    /// Name under which the server may be addressed, several by repeating the flag. With this flag, or on
    /// loopback, other names are refused; addresses are not, but on loopback all but those of loopback.
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// Proxy, or network of proxies, such as 127.0.0.1,10.0.0.0/8: whose requests it passes on is read from
    /// X-Forwarded-For, so that shares and limits hold for its clients. Name only proxies that set it.
    #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
    pub trusted_proxy: Vec<Network>,
    /// Let requests name URLs of images at public addresses. Private, local and reserved ones are not
    /// fetched.
    #[arg(long)]
    pub allow_urls: bool,
    /// Host or network whose images are fetched too, such as cam1.lan,192.168.1.0/24.
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub allow_url_host: Vec<UrlHost>,
    /// Host or network whose streams /v1/streams takes. Name only hosts that you trust: ffmpeg follows their
    /// redirects and playlists to any other address.
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub allow_stream_host: Vec<UrlHost>,
    /// TOML file with a table `[[streams]]` for each live stream: name, url, fps, weight, tracker,
    /// confidence, lines, zones. Read again when it changes and on SIGHUP; streams that stay the same
    /// go on. Those that are added at /v1/streams are kept in memory only.
    #[arg(long, value_name = "FILE")]
    pub streams: Option<PathBuf>,
    /// Most live streams at one time.
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub max_streams: usize,
    /// Most connections that watch streams or listen to their events at one time.
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub max_stream_viewers: usize,
    /// Directory for the frames of events at lines and in zones, as JPEG; of this server alone. They are kept
    /// in memory if absent.
    #[arg(long, value_name = "DIR")]
    pub event_snapshots: Option<PathBuf>,
    /// Most megabytes of these frames; beyond, the oldest are removed. With 0 none are made.
    #[arg(long, default_value_t = 64, value_name = "MB")]
    pub event_snapshots_size: u64,
    /// Largest video file that /v1/videos takes, in megabytes. With 0 it takes none.
    #[arg(long, default_value_t = 512, value_name = "MB")]
    pub max_video: u64,
    /// Directory in which such videos and their results wait [default: that for temporary files]
    #[arg(long, value_name = "DIR")]
    pub video_spool: Option<PathBuf>,
    /// Most megabytes of all such videos and results at one time.
    #[arg(long, default_value_t = 2048, value_name = "MB")]
    pub video_spool_size: u64,
    /// ffmpeg, which reads streams, or the directory of it and ffprobe [default: ONELOOK_FFMPEG, or
    /// what is on the PATH]
    #[arg(long, value_name = "PATH")]
    pub ffmpeg: Option<PathBuf>,
    /// Answer Frigate's zmq detector at tcp://HOST:PORT or ipc:///PATH, several by repeating the flag: the
    /// first model runs at the size of its tensors. Whoever reaches the socket may use it.
    #[cfg(unix)]
    #[arg(long, value_name = "ENDPOINT")]
    pub zmq: Vec<ZmqEndpoint>,
    /// Certificate chain (PEM); makes it HTTPS. Read again when it or the key changes.
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM).
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Format of the log on standard error.
    #[arg(long, default_value = "text", value_parser = ["text", "json"], value_name = "FORMAT")]
    pub log_format: String,
    /// Which log lines: trace, debug, info, warn, error or off, also by target, as in
    /// info,onelook::access=warn, which leaves out the line per request.
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    pub log_level: String,
    /// Directory for log files, a new file each day (UTC). SIGHUP opens them anew, for logrotate.
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,
    /// Megabytes from which on a new log file is begun within a day [default: no limit]
    #[arg(long, value_name = "MB")]
    pub log_max_size: Option<usize>,
    /// Most log files that are kept: as many days, if --log-max-size begins no others.
    #[arg(long, default_value_t = 14, value_name = "N")]
    pub log_keep: usize,
    /// Address of an OpenTelemetry collector that gets a trace per request (OTLP over gRPC), such
    /// as http://localhost:4317; needs a build with the feature otlp.
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    // Last: its heading would hold for what follows.
    #[command(flatten)]
    pub delivery: DeliveryArgs,
}

/// A port, or none.
#[derive(Debug, Clone, Copy)]
pub struct OptionalPort(pub Option<u16>);

impl std::str::FromStr for OptionalPort {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word.eq_ignore_ascii_case("none") {
            return Ok(Self(None));
        }
        let port = word.parse().map_err(|_| {
            format!("'{word}' is not a port: expected a number up to 65535, or none")
        })?;
        Ok(Self(Some(port)))
    }
}
