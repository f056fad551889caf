//! What the flags of `onelook serve` mean for a server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use onelook_server::logs::{LogFormat, LogOptions};
use onelook_server::{
    Config, Limits, MaxConnections, MinProgress, ModelSource, SecretSources, SnapshotOptions,
    StreamLimits, TlsFiles, Tokens, VideoOptions,
};

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::{ModelArgs, ServeArgs};

/// Connections where there are files enough.
const DEFAULT_CONNECTIONS: usize = 12_000;

/// Files that are open besides connections: models, logs, ports, connections to hosts of images.
const OTHER_FILES: usize = 128;

impl ServeArgs {
    /// What the words mean for a server. A default model is fetched if need be. `open_files` is how many
    /// files the process may open, if there is a limit.
    pub fn config(&self, console: &Console, open_files: Option<usize>) -> Result<Config, Failure> {
        self.config_for(self.models(console)?, open_files)
    }

    /// The same without a default model.
    pub fn config_to_check(&self, open_files: Option<usize>) -> Result<Config, Failure> {
        self.config_for(self.named_models()?, open_files)
    }

    /// Where tokens and certificates come from.
    pub fn secret_sources(&self) -> Result<SecretSources, Failure> {
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            }),
            (None, None) => None,
            _ => {
                let message = "--tls-cert and --tls-key: one needs the other";
                return Err(Failure::Usage(message.to_owned()));
            }
        };
        Ok(SecretSources {
            tokens: tokens()?,
            token_file: self.token_file.clone(),
            tls,
        })
    }

    fn config_for(
        &self,
        models: Vec<ModelSource>,
        open_files: Option<usize>,
    ) -> Result<Config, Failure> {
        if self.model_root.is_some() && self.model_dir.is_none() {
            let message = "--model-root: it holds for --model-dir, which is not given";
            return Err(Failure::Usage(message.to_owned()));
        }
        Ok(Config {
            host: self.host.clone(),
            port: self.port,
            grpc_port: self.grpc_port.0,
            metrics_port: self.metrics_port.0,
            models,
            model_dir: self.model_dir.clone(),
            model_root: self.model_root.clone(),
            keep_trying: self.keep_trying,
            load: self.engine.options()?,
            max_batch: self
                .max_batch
                .map(at_least_one("--max-batch"))
                .transpose()?,
            max_delay: Duration::from_secs_f64(
                not_negative("--max-delay", self.max_delay, 60_000.0)? / 1e3,
            ),
            queue: at_least_one("--queue")(self.queue)?,
            limits: Limits {
                body_bytes: megabytes("--max-body", self.max_body)?,
                pixels: self.max_pixels.saturating_mul(1_000_000).max(1),
                images: at_least_one("--max-images")(self.max_images)?,
                image_size: at_least_one("--max-imgsz")(self.max_imgsz)?,
                memory_bytes: megabytes("--max-memory", self.max_memory)?,
                working_bytes: megabytes("--max-working-memory", self.max_working_memory)? as u64,
                min_progress: MinProgress {
                    stall: Duration::from_secs_f64(positive(
                        "--stall-timeout",
                        self.stall_timeout,
                    )?),
                    bytes_per_second: self.min_rate.saturating_mul(1000),
                },
                streams: StreamLimits {
                    streams: self.max_streams,
                    viewers: self.max_stream_viewers,
                },
                connections: self.connections(open_files)?,
                drain_delay: Duration::from_secs_f64(not_negative(
                    "--drain-delay",
                    self.drain_delay,
                    3600.0,
                )?),
                request_timeout: Duration::from_secs_f64(positive("--timeout", self.timeout)?),
                ..Limits::default()
            },
            secrets: self.secret_sources()?,
            cors: self.cors.clone(),
            allow_hosts: self.allow_host.clone(),
            trusted_proxies: self.trusted_proxy.clone(),
            allow_urls: self.allow_urls,
            allow_url_hosts: self.allow_url_host.clone(),
            allow_stream_hosts: self.allow_stream_host.clone(),
            stream_file: self.streams.clone(),
            ffmpeg: self.ffmpeg.clone(),
            delivery: self.delivery.options(None)?,
            #[cfg(unix)]
            zmq: self.zmq.clone(),
            event_snapshots: SnapshotOptions {
                directory: self.event_snapshots.clone(),
                max_bytes: self.event_snapshots_size.saturating_mul(1_000_000),
            },
            videos: VideoOptions {
                max_bytes: self.max_video.saturating_mul(1_000_000),
                spool: self.video_spool.clone(),
                max_spool_bytes: self.video_spool_size.saturating_mul(1_000_000),
            },
        })
    }

    /// Where logs go.
    pub fn log_options(&self, console: &Console) -> Result<LogOptions, Failure> {
        let max_bytes = self
            .log_max_size
            .map(|size| megabytes("--log-max-size", size));
        Ok(LogOptions {
            format: match self.log_format.as_str() {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            },
            levels: self.log_level.clone(),
            directory: self.log_dir.clone(),
            keep: self.log_keep,
            max_bytes: max_bytes.transpose()?.map(|bytes| bytes as u64),
            colour: console.has_colour(),
            otlp: self.otlp.clone(),
        })
    }

    /// As many connections as were asked for, or as there are files for.
    fn connections(&self, open_files: Option<usize>) -> Result<MaxConnections, Failure> {
        let possible = open_files.map_or(usize::MAX, |files| files.saturating_sub(OTHER_FILES));
        let all = match self.max_connections {
            None => DEFAULT_CONNECTIONS.min(possible).max(1),
            Some(wanted) if wanted > possible => {
                return Err(Failure::Usage(format!(
                    "--max-connections {wanted}: the system lets this process open {} files, enough for \
                     {possible} connections: raise its limit (ulimit -n), or ask for fewer",
                    open_files.unwrap_or_default()
                )));
            }
            Some(wanted) => at_least_one("--max-connections")(wanted)?,
        };
        let per_address = self.max_connections_per_address;
        let per_address = per_address.map(at_least_one("--max-connections-per-address"));
        Ok(MaxConnections {
            all,
            per_address: per_address.transpose()?.unwrap_or(all.div_ceil(2)),
        })
    }

    /// The models by name. One that was not named is the command line's default, fetched if need
    /// be before the server starts.
    fn models(&self, console: &Console) -> Result<Vec<ModelSource>, Failure> {
        if self.model.is_empty() && self.model_dir.is_none() {
            let path = ModelArgs::default().locate(console)?;
            return Ok(vec![source_of(&path.display().to_string())?]);
        }
        self.named_models()
    }

    fn named_models(&self) -> Result<Vec<ModelSource>, Failure> {
        self.model.iter().map(|word| source_of(word)).collect()
    }
}

/// The tokens of the environment. A variable that is set must hold one: an empty one is a mistake, and
/// never means that no token is needed.
fn tokens() -> Result<Tokens, Failure> {
    let mut tokens = Tokens::default();
    for name in ["ONELOOK_TOKEN", "ONELOOK_TOKENS"] {
        let Some(text) = std::env::var_os(name) else {
            continue;
        };
        let refused = |reason: &str| Failure::Usage(format!("{name}: {reason}"));
        let text = text.to_str().ok_or_else(|| refused("it is not UTF-8"))?;
        let is_comment = text.trim_start().starts_with('#');
        if name == "ONELOOK_TOKEN" && !is_comment && text.split_whitespace().count() > 1 {
            return Err(refused(
                "it holds one token, which has no spaces; names and scopes go into ONELOOK_TOKENS",
            ));
        }
        let own = Tokens::parse(text).map_err(|reason| refused(&reason))?;
        if own.is_empty() {
            return Err(refused(
                "it is set and holds no token: unset it, or give it one",
            ));
        }
        tokens = tokens.and(own);
    }
    Ok(tokens)
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

fn not_negative(flag: &'static str, value: f64, limit: f64) -> Result<f64, Failure> {
    match (0.0..=limit).contains(&value) {
        true => Ok(value),
        false => Err(Failure::Usage(format!(
            "{flag}: expected 0 to {limit}, got {value}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::OptionalPort;

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
