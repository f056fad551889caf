//! Tokens, certificates and the list of streams while the server runs: their files are read again when they
//! change and when that is asked for. What cannot be used changes nothing but a metric and the log.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::app::App;
use crate::locks::lock;
use crate::secret_file;
use crate::secret_sources::SecretSources;
use crate::streams::{StreamFile, read_file};
use crate::tls::Tls;

/// Pause between two looks at the files.
const POLL: Duration = Duration::from_secs(2);

/// Reads secrets again.
pub struct Reloader {
    app: Arc<App>,
    tls: Option<Tls>,
    state: Mutex<State>,
    streams: Mutex<SeenStreams>,
}

struct State {
    sources: SecretSources,
    seen: Stamps,
}

/// The list of streams, and what its file looked like when it was last read.
#[derive(Default)]
struct SeenStreams {
    stamp: Option<Stamp>,
    list: StreamFile,
}

/// What the files looked like when they were last read.
#[derive(Clone, PartialEq, Eq)]
struct Stamps {
    tokens: Option<Stamp>,
    certificate: [Option<Stamp>; 2],
}

/// Changes whenever the file behind a path is written or replaced, also by way of a link.
type Stamp = [u64; 5];

impl Reloader {
    /// For a server whose secrets were read after `stamps` were taken.
    pub(crate) fn new(app: Arc<App>, tls: Option<Tls>, stamps: SeenFiles) -> Arc<Self> {
        let SeenFiles(sources, seen) = stamps;
        Arc::new(Self {
            app,
            tls,
            state: Mutex::new(State { sources, seen }),
            streams: Mutex::default(),
        })
    }

    /// Reads the list of streams for the first time, if there is one.
    ///
    /// # Errors
    /// It cannot be used.
    pub(crate) fn start_streams(&self) -> Result<(), String> {
        self.read_streams(&mut self.seen_streams())
    }

    /// Reads everything again, from new sources if there are any.
    pub fn reload(&self, sources: Option<SecretSources>) {
        let mut state = self.state();
        if let Some(sources) = sources {
            if sources.tls.is_some() != self.tls.is_some() {
                tracing::error!("whether connections are encrypted changes only at the next start");
            }
            state.sources = sources;
        }
        state.seen = Stamps::of(&state.sources);
        self.reload_tokens(&state.sources);
        self.reload_certificate(&state.sources);
        drop(state);
        if self.app.config.stream_file.is_some() {
            let read = self.read_streams(&mut self.seen_streams());
            self.tell("streams", read);
        }
    }

    /// Says what became of a configuration file that was read again: which keys differ and count only
    /// at the next start, or why it cannot be used.
    pub fn tell_configuration(&self, read: Result<Vec<String>, String>) {
        let read = read.map(|late| {
            if !late.is_empty() {
                let late = late.join(", ");
                tracing::warn!("configuration: these keys count at the next start: {late}");
            }
        });
        self.tell("configuration", read);
    }

    /// Looks at the files again and again, and reads those that have changed.
    pub(crate) async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(POLL).await;
            let own = Arc::clone(&self);
            // Files may be on a slow disk: not on the threads that answer requests.
            let looked = tokio::task::spawn_blocking(move || own.reload_changed());
            if let Err(error) = looked.await {
                tracing::error!(%error, "tokens and certificates could not be looked at");
            }
        }
    }

    fn reload_changed(&self) {
        let mut state = self.state();
        // Before the files are read: what changes meanwhile is seen the next time.
        let now = Stamps::of(&state.sources);
        let old = std::mem::replace(&mut state.seen, now.clone());
        if now.tokens != old.tokens {
            self.reload_tokens(&state.sources);
        }
        if now.certificate != old.certificate {
            self.reload_certificate(&state.sources);
        }
        drop(state);
        let Some(path) = &self.app.config.stream_file else {
            return;
        };
        let mut seen = self.seen_streams();
        if stamp(path) != seen.stamp {
            let read = self.read_streams(&mut seen);
            self.tell("streams", read);
        }
    }

    fn read_streams(&self, seen: &mut SeenStreams) -> Result<(), String> {
        let Some(path) = &self.app.config.stream_file else {
            return Ok(());
        };
        // Before the file is read: what changes meanwhile is seen the next time.
        seen.stamp = stamp(path);
        let list = read_file(path)?;
        self.app.streams.follow(&list, &seen.list);
        seen.list = list;
        Ok(())
    }

    fn seen_streams(&self) -> MutexGuard<'_, SeenStreams> {
        lock(&self.streams)
    }

    fn reload_tokens(&self, sources: &SecretSources) {
        let had_tokens = !self.app.tokens().is_empty();
        if !had_tokens && sources.token_file.is_none() && sources.tokens.is_empty() {
            return;
        }
        let read = sources
            .read_tokens()
            .and_then(|tokens| match had_tokens && tokens.is_empty() {
                true => Err("a server that needs tokens goes on needing them".to_owned()),
                false => Ok(tokens),
            });
        let outcome = read.map(|tokens| self.app.set_tokens(tokens));
        self.tell("tokens", outcome);
        let path = sources.token_file.as_deref();
        warn(path.and_then(secret_file::warning));
    }

    fn reload_certificate(&self, sources: &SecretSources) {
        let (Some(tls), Some(files)) = (&self.tls, &sources.tls) else {
            return;
        };
        self.tell("certificate", tls.reload(files));
        warn(secret_file::warning(&files.key));
    }

    fn tell(&self, what: &str, outcome: Result<(), String>) {
        let metrics = &self.app.metrics;
        let name = if outcome.is_ok() { "ok" } else { "failed" };
        metrics.reloads.with_label_values(&[what, name]).inc();
        let failed = metrics.reload_failed.with_label_values(&[what]);
        failed.set(i64::from(outcome.is_err()));
        match outcome {
            Ok(()) => tracing::info!("{what}: read again"),
            Err(reason) => tracing::error!("{what}: what was read before stays in use: {reason}"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Sources and what their files look like; taken before they are read.
pub(crate) struct SeenFiles(SecretSources, Stamps);

impl SeenFiles {
    /// What they look like now.
    pub(crate) fn of(sources: &SecretSources) -> Self {
        Self(sources.clone(), Stamps::of(sources))
    }
}

impl Stamps {
    fn of(sources: &SecretSources) -> Self {
        let tls = sources.tls.as_ref();
        Self {
            tokens: sources.token_file.as_deref().and_then(stamp),
            certificate: [
                tls.and_then(|files| stamp(&files.certificate)),
                tls.and_then(|files| stamp(&files.key)),
            ],
        }
    }
}

fn warn(warning: Option<String>) {
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
}

#[cfg(unix)]
fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some([
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.mtime() as u64,
        metadata.mtime_nsec() as u64,
    ])
}

#[cfg(not(unix))]
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    let since_1970 = metadata
        .modified()
        .ok()?
        .duration_since(std::time::UNIX_EPOCH);
    let modified = since_1970.ok()?;
    Some([
        0,
        0,
        metadata.len(),
        modified.as_secs(),
        modified.subsec_nanos().into(),
    ])
}
