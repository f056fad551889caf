//! Video files that requests send: run through a model in the background, frame by frame and fairly with all
//! other requests, their results kept for a while.
//!
//! Bounded in number, in bytes on disk and in time. A client sees and touches only its own.

pub mod container;
pub mod job;
mod run;
mod spool;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::Duration;

use onelook::media::video::{
    DecodeOptions, Ffmpeg, StreamOptions, VideoAddress, VideoError, VideoStream,
};

use crate::admission::ClientKey;
use crate::config::VideoOptions;
use crate::fair_semaphore::FairSemaphore;
use crate::inference_service::InferenceService;
use crate::locks::{lock, read, write};
use crate::model_repository::ModelEntry;
use crate::problem::{Problem, ProblemKind};
use crate::streams::settings::StreamConfig;
use crate::writable;
use job::{VideoJob, VideoState};
use spool::Spool;

/// Most videos of one client, and of all, finished ones with them.
const MAX_OWN: usize = 4;
const MAX_ALL: usize = 32;

/// How long results are kept that nobody asks for.
const KEPT: Duration = Duration::from_secs(15 * 60);

/// Two permits: one client runs one video at a time, and all together two.
const RUNNING: u64 = 2;

/// Opens a file that is of this container.
type OpenVideo = dyn Fn(&Path, &'static str) -> Result<VideoStream, VideoError> + Send + Sync;

/// The videos of one server.
pub struct VideoService {
    options: VideoOptions,
    spool: Spool,
    running: FairSemaphore,
    inference: InferenceService,
    jobs: Arc<Mutex<Jobs>>,
    open: RwLock<Arc<OpenVideo>>,
}

/// Whether the directory that is given for videos can be used, found without changing anything.
///
/// # Errors
/// Why not.
pub fn check(options: &VideoOptions) -> Result<(), String> {
    let directory = options.spool.as_deref().filter(|_| options.max_bytes > 0);
    directory.map_or(Ok(()), |directory| {
        writable::check(directory).map_err(|error| {
            let directory = directory.display();
            format!("videos: '{directory}' cannot be used: {error}")
        })
    })
}

impl VideoService {
    /// No videos yet. `ffmpeg` is where it is, if it was said.
    pub fn new(
        options: VideoOptions,
        inference: InferenceService,
        ffmpeg: Option<PathBuf>,
        max_pixels: u64,
    ) -> Self {
        let open = move |path: &Path, container| {
            let ffmpeg = Ffmpeg::find(ffmpeg.as_deref())?;
            let address = VideoAddress::File(path.to_path_buf());
            let mut decode = DecodeOptions::for_address(&address);
            decode.limits.max_pixels = max_pixels;
            decode.container = Some(container);
            let stream = StreamOptions::for_address(&address);
            Ok(VideoStream::open(ffmpeg, address, decode, stream))
        };
        Self {
            spool: Spool::new(options.spool.as_deref(), options.max_spool_bytes),
            options,
            running: FairSemaphore::new(RUNNING),
            inference,
            jobs: Arc::default(),
            open: RwLock::new(Arc::new(open)),
        }
    }

    /// Has videos opened by something else than ffmpeg, for tests.
    #[doc(hidden)]
    pub fn open_with(
        &self,
        open: impl Fn(&Path, &'static str) -> Result<VideoStream, VideoError> + Send + Sync + 'static,
    ) {
        *write(&self.open) = Arc::new(open);
    }

    /// Largest file in bytes.
    pub fn max_bytes(&self) -> u64 {
        self.options.max_bytes
    }

    /// A video of this client that is about to be received. Waits for the disk.
    ///
    /// # Errors
    /// Videos are not taken here, or there are too many.
    pub fn add(
        &self,
        client: &ClientKey,
        name: String,
        settings: StreamConfig,
    ) -> Result<Arc<VideoJob>, Problem> {
        if self.options.max_bytes == 0 {
            let detail = "this server takes no videos: start it with --max-video above 0";
            return Err(Problem::new(ProblemKind::Forbidden, detail));
        }
        // Before and after: nobody waits for the disk under the lock.
        check_room(&lock(&self.jobs), client)?;
        let failed = |error: std::io::Error| {
            Problem::internal(format!("the directory for videos cannot be used: {error}"))
        };
        let files = [
            self.spool.create(client, "video"),
            self.spool.create(client, "jsonl"),
        ];
        let [video, results] = files.map(|file| file.map_err(failed));
        let job = VideoJob::new(Arc::clone(client), name, settings, video?, results?);
        let mut jobs = lock(&self.jobs);
        check_room(&jobs, client)?;
        jobs.insert(job.id.clone(), Arc::clone(&job));
        Ok(job)
    }

    /// Runs a video that has been received and is of this container, when its turn comes.
    pub fn start(&self, job: &Arc<VideoJob>, container: &'static str, model: Arc<ModelEntry>) {
        job.set_state(VideoState::Queued);
        let work = run::VideoRun {
            job: Arc::clone(job),
            container,
            model,
            inference: self.inference.clone(),
            open: Arc::clone(&read(&self.open)),
        };
        let running = self.running.clone();
        let jobs = Arc::downgrade(&self.jobs);
        tokio::spawn(async move {
            let job = Arc::clone(&work.job);
            tokio::select! {
                permit = running.acquire(&job.client, 1) => {
                    work.run().await;
                    drop(permit);
                }
                () = job.cancelled() => job.set_state(VideoState::Cancelled),
            }
            job.drop_video();
            forget_later(jobs, job).await;
        });
    }

    /// The videos of a client, the oldest first.
    pub fn of_client(&self, client: &ClientKey) -> Vec<Arc<VideoJob>> {
        let jobs = lock(&self.jobs);
        let own = jobs.values().filter(|job| job.is_of(client));
        let mut own: Vec<Arc<VideoJob>> = own.cloned().collect();
        own.sort_by_key(|job| job.added);
        own
    }

    /// A video of a client.
    ///
    /// # Errors
    /// It has none of this id.
    pub fn find(&self, client: &ClientKey, id: &str) -> Result<Arc<VideoJob>, Problem> {
        let jobs = lock(&self.jobs);
        let found = jobs.get(id).filter(|job| job.is_of(client));
        let job = found.cloned().ok_or_else(|| {
            let detail = "there is no such video of this client: results are kept for 15 minutes";
            Problem::new(ProblemKind::NotFound, detail)
        })?;
        job.touch();
        Ok(job)
    }

    /// Ends a video and forgets its results.
    pub fn remove(&self, job: &VideoJob) {
        lock(&self.jobs).remove(&job.id);
        job.cancel();
    }

    /// Ends all videos.
    pub fn stop(&self) {
        let jobs = std::mem::take(&mut *lock(&self.jobs));
        jobs.values().for_each(|job| job.cancel());
    }
}

type Jobs = BTreeMap<String, Arc<VideoJob>>;

/// Whether there is a place for one more video of this client.
fn check_room(jobs: &Jobs, client: &ClientKey) -> Result<(), Problem> {
    let own = jobs.values().filter(|job| job.is_of(client)).count();
    if own >= MAX_OWN {
        let detail = format!("this client has {own} videos already: remove one with DELETE");
        return Err(Problem::new(ProblemKind::TooMany, detail).retry_after(KEPT));
    }
    if jobs.len() >= MAX_ALL {
        let detail = format!("there are {} videos already: try again later", jobs.len());
        return Err(Problem::new(ProblemKind::Overloaded, detail).retry_after(KEPT));
    }
    Ok(())
}

/// Forgets a finished video when nobody has asked for it for a while.
async fn forget_later(jobs: Weak<Mutex<Jobs>>, job: Arc<VideoJob>) {
    loop {
        let unused = job.unused();
        if unused >= KEPT || job.cancel_token().is_cancelled() {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(KEPT - unused) => {}
            () = job.cancelled() => {}
        }
    }
    if let Some(jobs) = jobs.upgrade() {
        lock(&jobs).remove(&job.id);
    }
}
