//! Images of files, directories, globs, lists, addresses, videos and cameras, one after the other.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use onelook::Error;
use onelook::media::{Source, SourceFrame, SourceOptions, StopHandle};
use pyo3::prelude::*;

use crate::array::from_frame;
use crate::error::{OrRaise, exception, raised};
use crate::process::OfProcess;

/// How often a wait looks for signals, such as that of Ctrl-C.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

/// Images to come; decoded ahead of whoever takes them.
#[pyclass(frozen, module = "onelook._native")]
pub struct ImageStream {
    running: OfProcess<Running>,
    entries: usize,
    length: Option<usize>,
}

/// The thread that takes images of the source; it ends when this is dropped.
struct Running {
    taker: Mutex<Taker>,
    stop: StopHandle,
}

/// Takes an image of the source whenever it is asked to, never before: the source tells by the moments at which it
/// is asked whether it decodes fast enough.
struct Taker {
    requests: SyncSender<()>,
    frames: Receiver<SourceFrame>,
    /// A request whose image has not come, because the wait for it was interrupted.
    is_asked: bool,
}

impl Taker {
    /// The next image, or why there is none yet.
    fn next(&mut self, timeout: Duration) -> Result<SourceFrame, RecvTimeoutError> {
        if !self.is_asked {
            // Where nobody listens any more, no frame comes either.
            let _ = self.requests.send(());
            self.is_asked = true;
        }
        let frame = self.frames.recv_timeout(timeout)?;
        self.is_asked = false;
        Ok(frame)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

/// One image of a stream, or why there is none.
#[pyclass(module = "onelook._native")]
pub struct StreamImage {
    /// Path or address, without passwords.
    #[pyo3(get)]
    name: String,
    /// Where the file is, for files.
    #[pyo3(get)]
    path: Option<PathBuf>,
    /// Position of the image or video in the source, from 0.
    #[pyo3(get)]
    index: usize,
    /// Which frame of a video it is, from 1.
    #[pyo3(get)]
    frame: Option<u64>,
    /// Whether the video has no end.
    #[pyo3(get)]
    is_live: bool,
    /// Seconds since the start of the video.
    #[pyo3(get)]
    time: Option<f64>,
    /// Red, green, blue, `(height, width, 3)`.
    #[pyo3(get)]
    image: Option<Py<PyAny>>,
    /// Why there is no image.
    #[pyo3(get)]
    error: Option<Py<PyAny>>,
}

#[pymethods]
impl ImageStream {
    /// Settles what each word means, and opens nothing but directories and lists.
    #[new]
    #[pyo3(signature = (words, *, vid_stride = 1, stream_buffer = false, ffmpeg = None))]
    fn new(
        words: Vec<String>,
        vid_stride: u32,
        stream_buffer: bool,
        ffmpeg: Option<PathBuf>,
    ) -> PyResult<Self> {
        let options = SourceOptions {
            fetch: Some(Arc::new(|url: &str, max_bytes: u64| {
                onelook::registry::get(url, max_bytes)
            })),
            ffmpeg,
            video_stride: vid_stride.max(1),
            buffer_streams: stream_buffer,
            ..SourceOptions::default()
        };
        let mut source = Source::open(&words, &options).or_raise()?;
        let (stop, entries, length) = (source.stop_handle(), source.entries(), source.len_hint());
        // The source has its own images ahead: this thread only lets a wait be interrupted.
        let (requests, asked) = sync_channel(1);
        let (sender, frames) = sync_channel(1);
        let take = move || {
            while asked.recv().is_ok() {
                let Some(frame) = source.next() else { return };
                if sender.send(frame).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("onelook-source".to_owned());
        thread.spawn(take).map_err(|error| {
            raised(
                "SourceError",
                format!("no thread could be started: {error}"),
            )
        })?;
        Ok(Self {
            running: OfProcess::new(Running {
                taker: Mutex::new(Taker {
                    requests,
                    frames,
                    is_asked: false,
                }),
                stop,
            }),
            entries,
            length,
        })
    }

    /// How many images and videos there are in all.
    #[getter]
    fn entries(&self) -> usize {
        self.entries
    }

    /// How many images there are, where that is known: not with videos among them.
    #[getter]
    fn length(&self) -> Option<usize> {
        self.length
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<StreamImage>> {
        let running = self.running.running()?;
        loop {
            let received = py.detach(|| {
                let taker = running.taker.lock();
                let mut taker = taker.unwrap_or_else(PoisonError::into_inner);
                taker.next(SIGNAL_INTERVAL)
            });
            match received {
                Ok(frame) => return StreamImage::of(py, frame).map(Some),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            }
        }
    }

    /// Ends the stream, also while a thread waits for its next image.
    fn close(&self) {
        if let Ok(running) = self.running.running() {
            running.stop.stop();
        }
    }
}

impl StreamImage {
    fn of(py: Python<'_>, frame: SourceFrame) -> PyResult<Self> {
        let video = frame.video.as_ref();
        let (image, error) = match frame.image {
            Ok(decoded) => (
                Some(from_frame(py, decoded.frame)?.into_any().unbind()),
                None,
            ),
            Err(error) => {
                let error = exception(&Error::from(error));
                (None, Some(error.into_value(py).into_any()))
            }
        };
        Ok(Self {
            index: frame.index,
            frame: video.map(|video| video.frame),
            is_live: video.is_some_and(|video| video.is_live),
            time: frame.timestamp.map(|time| time.as_secs_f64()),
            name: frame.name,
            path: frame.path,
            image,
            error,
        })
    }
}
