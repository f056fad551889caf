//! One video: its settings, how far it is, and its results on disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::spool::{SpoolFile, random_name};
use crate::admission::ClientKey;
use crate::locks::lock;
use crate::problem::Problem;
use crate::streams::settings::StreamConfig;

/// Most bytes of results in one answer.
const MAX_PART: u64 = 4 << 20;

/// What a video is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VideoState {
    /// It is being sent.
    Receiving,
    /// Others are run first.
    Queued,
    /// It is run.
    Running,
    /// All results are there.
    Done,
    /// It could not be run to its end.
    Failed,
    /// It was ended by a request.
    Cancelled,
}

/// How far a video is.
#[derive(Debug, Clone)]
pub struct VideoProgress {
    /// What it is doing.
    pub state: VideoState,
    /// Why it failed.
    pub error: Option<String>,
    /// Frames that were run.
    pub frames: u64,
    /// Seconds of the video that were run.
    pub time: f64,
    /// Its length in seconds, where the file says so.
    pub duration: Option<f64>,
    /// Bytes of results.
    pub results_bytes: u64,
    /// Totals of lines and zones.
    pub counts: Value,
}

/// A video of one client.
pub struct VideoJob {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub client: ClientKey,
    /// What the client calls the file.
    pub name: String,
    /// What is to be done with it.
    pub settings: StreamConfig,
    /// When it was added.
    pub added: Instant,
    progress: Mutex<VideoProgress>,
    used: Mutex<Instant>,
    video: Mutex<Option<(SpoolFile, File)>>,
    results: SpoolFile,
    writer: Mutex<File>,
    cancel: CancellationToken,
}

impl VideoJob {
    /// A video of which nothing has come yet.
    pub fn new(
        client: ClientKey,
        name: String,
        settings: StreamConfig,
        video: (SpoolFile, File),
        (results, writer): (SpoolFile, File),
    ) -> Arc<Self> {
        Arc::new(Self {
            id: random_name(),
            client,
            name,
            settings,
            added: Instant::now(),
            progress: Mutex::new(VideoProgress {
                state: VideoState::Receiving,
                error: None,
                frames: 0,
                time: 0.0,
                duration: None,
                results_bytes: 0,
                counts: serde_json::json!({"lines": [], "zones": []}),
            }),
            used: Mutex::new(Instant::now()),
            video: Mutex::new(Some(video)),
            results,
            writer: Mutex::new(writer),
            cancel: CancellationToken::new(),
        })
    }

    /// Whether it is this client's.
    pub fn is_of(&self, client: &ClientKey) -> bool {
        self.client == *client
    }

    /// How far it is.
    pub fn progress(&self) -> VideoProgress {
        lock(&self.progress).clone()
    }

    /// Writes down how far it is.
    pub fn update(&self, change: impl FnOnce(&mut VideoProgress)) {
        change(&mut lock(&self.progress));
    }

    /// Sets what it is doing.
    pub fn set_state(&self, state: VideoState) {
        self.update(|progress| progress.state = state);
    }

    /// Adds bytes of the file. Waits for the disk.
    ///
    /// # Errors
    /// There is no room for them, or the disk fails.
    pub fn receive(&self, bytes: &[u8]) -> Result<(), Problem> {
        let mut video = lock(&self.video);
        let Some((spool, file)) = video.as_mut() else {
            return Err(Problem::bad_request("the video was removed"));
        };
        spool.grow(bytes.len())?;
        file.write_all(bytes).map_err(disk_problem)
    }

    /// Where the file is, while it is there.
    pub fn video_path(&self) -> Option<PathBuf> {
        let video = lock(&self.video);
        video.as_ref().map(|(spool, _)| spool.path().to_path_buf())
    }

    /// Deletes the file.
    pub fn drop_video(&self) {
        lock(&self.video).take();
    }

    /// Adds lines of results. Waits for the disk.
    ///
    /// # Errors
    /// There is no room for them, or the disk fails.
    pub fn write_results(&self, lines: &str) -> Result<(), Problem> {
        self.results.grow(lines.len())?;
        let mut writer = lock(&self.writer);
        writer.write_all(lines.as_bytes()).map_err(disk_problem)?;
        self.update(|progress| progress.results_bytes += lines.len() as u64);
        Ok(())
    }

    /// Whole lines of results from this byte on. Waits for the disk.
    ///
    /// # Errors
    /// There are not so many bytes.
    pub fn read_results(&self, offset: u64) -> Result<Vec<u8>, Problem> {
        let end = self.progress().results_bytes;
        if offset > end {
            let detail = format!("offset: there are {end} bytes of results");
            return Err(Problem::bad_request(detail));
        }
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(self.results.path())?;
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            file.take((end - offset).min(MAX_PART))
                .read_to_end(&mut bytes)?;
            let lines = bytes.iter().rposition(|byte| *byte == b'\n');
            bytes.truncate(lines.map_or(0, |last| last + 1));
            Ok(bytes)
        };
        read().map_err(disk_problem)
    }

    /// Somebody has asked for it.
    pub fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    /// How long nobody has asked for it.
    pub fn unused(&self) -> Duration {
        lock(&self.used).elapsed()
    }

    /// Ends it.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Tells when it is to end.
    pub fn cancel_token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Waits until it is to end.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }
}

fn disk_problem(error: io::Error) -> Problem {
    Problem::internal(format!("the directory for videos fails: {error}"))
}
