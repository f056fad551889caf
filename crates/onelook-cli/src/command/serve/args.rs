//! What was typed behind `serve`, and what it means for a server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use onelook_server::logs::{LogFormat, LogOptions};
use onelook_server::{Config, Limits, ModelSource, TlsFiles, Tokens};

use crate::args::{EngineArgs, ModelArgs, boolean};
use crate::console::Console;
use crate::failure::{Failure, refused};

/// Answers over HTTP and gRPC, with a page for people.
#[derive(Args)]
pub struct ServeArgs {
    /// Model: FILE or NAME=FILE, or a name of `onelook models list`; several by repeating the
    /// flag. The first is the default. Without it yolo11n, or yolo26n where only a package mirror
    /// can be reached.
    #[arg(long, short, value_name = "[NAME=]FILE")]
    model: Vec<String>,
    /// Directory whose model files are served too, named by their stems.
    #[arg(long, value_name = "DIR")]
    model_dir: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
    /// Address to listen on; 0.0.0.0 for all.
    #[arg(long, default_value = "127.0.0.1", value_name = "HOST")]
    host: String,
    /// Port for HTTP; 0 for any that is free. It answers gRPC too.
    #[arg(long, short, default_value_t = 8000, value_name = "PORT")]
    port: u16,
    /// Second port, for gRPC clients that expect one of their own; `none` for none.
    #[arg(long, default_value = "8001", value_name = "PORT|none")]
    grpc_port: OptionalPort,
    /// Port for /metrics alone; the HTTP port has it too.
    #[arg(long, default_value = "none", value_name = "PORT|none")]
    metrics_port: OptionalPort,
    /// Most pictures in one run [default: what the device gains from]
    #[arg(long, alias = "batch", value_name = "N")]
    max_batch: Option<usize>,
    /// Longest wait in milliseconds of a picture that is ready for others to share its run.
    #[arg(long, default_value_t = 2.0, value_name = "MS")]
    max_delay: f64,
    /// Most requests that wait before a model; more are refused at once.
    #[arg(long, default_value_t = 128, value_name = "N")]
    queue: usize,
    /// Longest time in seconds from a request to its answer.
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    timeout: f64,
    /// Most megabytes of one request.
    #[arg(long, default_value_t = 64, value_name = "MB")]
    max_body: usize,
    /// Most megapixels of one picture.
    #[arg(long, default_value_t = 64, value_name = "MP")]
    max_pixels: u64,
    /// Most pictures in one request.
    #[arg(long, default_value_t = 64, value_name = "N")]
    max_pictures: usize,
    /// Most connections at one time.
    #[arg(long, default_value_t = 12_000, value_name = "N")]
    max_connections: usize,
    /// File with a token per line: TOKEN, NAME TOKEN or NAME TOKEN SCOPE (read, infer, admin), a
    /// token also as sha256:HEX. ONELOOK_TOKENS holds such lines too, and ONELOOK_TOKEN one token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Origin whose pages may call this server, `*` for all; several by repeating the flag.
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,
    /// Let requests name addresses of pictures. Private, local and reserved addresses are never
    /// fetched.
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL", hide_default_value = true)]
    allow_urls: bool,
    /// Certificate chain (PEM); makes it HTTPS.
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM).
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Form of the log on standard error.
    #[arg(long, default_value = "text", value_parser = ["text", "json"], value_name = "FORM")]
    log_format: String,
    /// Which log lines: trace, debug, info, warn, error or off, also by target, as in
    /// info,onelook::access=warn, which leaves out the line per request.
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    log_level: String,
    /// Directory for log files too, a new one each day.
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// Days of log files that are kept.
    #[arg(long, default_value_t = 14, value_name = "DAYS")]
    log_keep: usize,
    /// Address of an OpenTelemetry collector that gets a trace per request (OTLP over gRPC), such
    /// as http://localhost:4317; needs a build with the feature otlp.
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
}

/// A port, or none.
#[derive(Debug, Clone, Copy)]
struct OptionalPort(Option<u16>);

impl std::str::FromStr for OptionalPort {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word.eq_ignore_ascii_case("none") {
            return Ok(Self(None));
        }
        let port = word
            .parse()
            .map_err(|_| format!("'{word}' is no port: expected a number up to 65535, or none"))?;
        Ok(Self(Some(port)))
    }
}

impl ServeArgs {
    /// What the words mean for a server.
    pub fn config(&self, console: &Console) -> Result<Config, Failure> {
        let tls = self.tls_cert.clone().zip(self.tls_key.clone());
        Ok(Config {
            host: self.host.clone(),
            port: self.port,
            grpc_port: self.grpc_port.0,
            metrics_port: self.metrics_port.0,
            models: self.models(console)?,
            model_dir: self.model_dir.clone(),
            load: self.engine.options()?,
            max_batch: self
                .max_batch
                .map(at_least_one("--max-batch"))
                .transpose()?,
            max_delay: Duration::from_secs_f64(not_negative("--max-delay", self.max_delay)? / 1e3),
            queue: at_least_one("--queue")(self.queue)?,
            limits: Limits {
                body_bytes: megabytes("--max-body", self.max_body)?,
                pixels: self.max_pixels.saturating_mul(1_000_000).max(1),
                images: at_least_one("--max-pictures")(self.max_pictures)?,
                connections: at_least_one("--max-connections")(self.max_connections)?,
                request_timeout: Duration::from_secs_f64(positive("--timeout", self.timeout)?),
                ..Limits::default()
            },
            tokens: self.tokens()?,
            cors: self.cors.clone(),
            allow_urls: self.allow_urls,
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
        })
    }

    /// Where logs go.
    pub fn log_options(&self, console: &Console) -> LogOptions {
        LogOptions {
            format: match self.log_format.as_str() {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            },
            levels: self.log_level.clone(),
            directory: self.log_dir.clone(),
            keep: self.log_keep,
            colour: console.has_colour(),
            otlp: self.otlp.clone(),
        }
    }

    /// The models by name. One that was not named is the command line's default, fetched if need
    /// be before the server starts.
    fn models(&self, console: &Console) -> Result<Vec<ModelSource>, Failure> {
        if self.model.is_empty() && self.model_dir.is_none() {
            let path = ModelArgs::default().locate(console)?;
            return Ok(vec![source_of(&path.display().to_string())?]);
        }
        self.model.iter().map(|word| source_of(word)).collect()
    }

    fn tokens(&self) -> Result<Tokens, Failure> {
        let parse = |origin: &str, text: &str| {
            let tokens = Tokens::parse(text);
            tokens.map_err(|reason| Failure::Usage(format!("{origin}: {reason}")))
        };
        let mut tokens = Tokens::default();
        if let Some(path) = &self.token_file {
            let text = std::fs::read_to_string(path).map_err(refused(path))?;
            tokens = parse(&path.display().to_string(), &text)?;
            if tokens.is_empty() {
                let path = path.display();
                return Err(Failure::Usage(format!("'{path}' holds no token")));
            }
        }
        for name in ["ONELOOK_TOKEN", "ONELOOK_TOKENS"] {
            if let Ok(text) = std::env::var(name) {
                tokens = tokens.and(parse(name, &text)?);
            }
        }
        Ok(tokens)
    }
}

/// `name=path`, or a path whose stem is the name.
fn source_of(word: &str) -> Result<ModelSource, Failure> {
    let (name, source) = match word.split_once('=') {
        Some((name, source)) => (name.to_owned(), source),
        None => {
            let stem = Path::new(word).file_stem().and_then(|stem| stem.to_str());
            let stem = stem.ok_or_else(|| {
                Failure::Usage(format!("--model '{word}': expected FILE or NAME=FILE"))
            })?;
            (stem.to_owned(), word)
        }
    };
    Ok(ModelSource {
        name,
        source: PathBuf::from(source),
    })
}

fn at_least_one(flag: &'static str) -> impl Fn(usize) -> Result<usize, Failure> {
    move |value| match value {
        0 => Err(Failure::Usage(format!("{flag}: expected at least 1"))),
        value => Ok(value),
    }
}

fn megabytes(flag: &'static str, value: usize) -> Result<usize, Failure> {
    at_least_one(flag)(value)?
        .checked_mul(1_000_000)
        .ok_or_else(|| Failure::Usage(format!("{flag}: {value} is too much")))
}

fn positive(flag: &'static str, value: f64) -> Result<f64, Failure> {
    match value > 0.0 && value <= 86_400.0 {
        true => Ok(value),
        false => Err(Failure::Usage(format!(
            "{flag}: expected more than 0 and at most 86400, got {value}"
        ))),
    }
}

fn not_negative(flag: &'static str, value: f64) -> Result<f64, Failure> {
    match (0.0..=60_000.0).contains(&value) {
        true => Ok(value),
        false => Err(Failure::Usage(format!(
            "{flag}: expected 0 to 60000, got {value}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_called_by_its_stem_unless_named() {
        let name = |word: &str| source_of(word).unwrap().name;
        assert_eq!(name("weights/yolo11n.pt"), "yolo11n");
        assert_eq!(name("yolo26n"), "yolo26n");
        assert_eq!(name("street=weights/yolo11n.pt"), "street");
        assert!(source_of("/").is_err());
    }

    #[test]
    fn a_port_can_be_none() {
        assert_eq!("none".parse::<OptionalPort>().unwrap().0, None);
        assert_eq!("8001".parse::<OptionalPort>().unwrap().0, Some(8001));
        assert!("70000".parse::<OptionalPort>().is_err());
    }
}
