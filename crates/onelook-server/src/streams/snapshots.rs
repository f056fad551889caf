//! JPEGs of the frames on which events happened: the last of all streams, in memory or in a directory, within
//! a number of bytes.
//!
//! They are encoded on a thread of their own. Whoever reports an event never waits: of more than a few that
//! wait to be encoded, the newest are left out.

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use onelook::types::Instances;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::live_frame::LiveFrame;
use crate::blocking::blocking;
use crate::config::SnapshotOptions;
use crate::locks::lock;
use crate::writable;

/// Snapshots that wait to be encoded, each with its frame.
const WAITING: usize = 8;

/// Longest wait of a reader for one that is being encoded.
const ENCODING_LIMIT: Duration = Duration::from_secs(5);

/// The snapshot of an event that is to be made.
pub struct SnapshotRequest {
    /// The frame on which it happened.
    pub frame: Arc<LiveFrame>,
    /// What is drawn, in pixels of the frame.
    pub found: Instances,
}

/// The snapshots of all streams.
#[derive(Clone)]
pub struct SnapshotStore {
    shared: Arc<Shared>,
    work: SyncSender<(String, SnapshotRequest)>,
}

struct Shared {
    options: SnapshotOptions,
    kept: Mutex<Kept>,
    changed: Notify,
}

#[derive(Default)]
struct Kept {
    /// The oldest first.
    snapshots: VecDeque<Snapshot>,
    bytes: u64,
    /// Names of those that are being made.
    pending: HashSet<String>,
}

struct Snapshot {
    name: String,
    size: u64,
    /// Absent if it is in the directory.
    jpeg: Option<Bytes>,
}

impl SnapshotStore {
    /// Whether the store could be opened, found without changing anything.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn check(options: &SnapshotOptions) -> Result<(), String> {
        let directory = options.directory.as_deref();
        let directory = directory.filter(|_| options.max_bytes > 0);
        directory.map_or(Ok(()), |directory| {
            writable::check(directory).map_err(|error| unusable(directory, &error))
        })
    }

    /// Opens the store; what an earlier server has left in the directory counts.
    ///
    /// # Errors
    /// The directory cannot be used, or there is no thread.
    pub fn open(options: SnapshotOptions) -> Result<Self, String> {
        Self::check(&options)?;
        let mut kept = Kept::default();
        if let Some(directory) = &options.directory {
            let read = kept.read(directory);
            read.map_err(|error| unusable(directory, &error))?;
        }
        let shared = Arc::new(Shared {
            options,
            kept: Mutex::new(kept),
            changed: Notify::new(),
        });
        shared.trim();
        let (work, requests) = sync_channel(WAITING);
        let own = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("snapshots".to_owned())
            .spawn(move || own.encode_all(&requests))
            .map_err(|error| format!("event snapshots: no thread: {error}"))?;
        Ok(Self { shared, work })
    }

    /// Has a snapshot made under this name. Whether it will be there soon.
    pub fn add(&self, name: &str, request: SnapshotRequest) -> bool {
        lock(&self.shared.kept).pending.insert(name.to_owned());
        let is_taken = self.work.try_send((name.to_owned(), request)).is_ok();
        if !is_taken {
            lock(&self.shared.kept).pending.remove(name);
        }
        is_taken
    }

    /// The snapshot of this name, if it is still kept; waits while it is being made.
    pub async fn find(&self, name: &str) -> Option<Bytes> {
        let is_made = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                // Before looking, so that no change between the two is missed.
                changed.as_mut().enable();
                if !lock(&self.shared.kept).pending.contains(name) {
                    return;
                }
                changed.await;
            }
        };
        timeout(ENCODING_LIMIT, is_made).await.ok()?;
        let jpeg = {
            let kept = lock(&self.shared.kept);
            let found = kept.snapshots.iter().rev().find(|it| it.name == name)?;
            found.jpeg.clone()
        };
        match (jpeg, &self.shared.options.directory) {
            (Some(jpeg), _) => Some(jpeg),
            (None, None) => None,
            (None, Some(directory)) => {
                let path = directory.join(file_name(name));
                // It may be given up meanwhile.
                let read = blocking(move || std::fs::read(path)).await.ok()?;
                read.ok().map(Bytes::from)
            }
        }
    }
}

impl Shared {
    fn encode_all(&self, requests: &Receiver<(String, SnapshotRequest)>) {
        for (name, request) in requests {
            let encoded = request.frame.event_jpeg(&request.found);
            drop(request);
            let kept = encoded
                .map_err(|problem| problem.detail)
                .and_then(|jpeg| self.keep(&name, jpeg));
            if let Err(reason) = kept {
                tracing::warn!(snapshot = name, "a snapshot of an event was lost: {reason}");
            }
            lock(&self.kept).pending.remove(&name);
            self.changed.notify_waiters();
        }
    }

    fn keep(&self, name: &str, jpeg: Bytes) -> Result<(), String> {
        let size = jpeg.len() as u64;
        let jpeg = match &self.options.directory {
            None => Some(jpeg),
            Some(directory) => {
                let path = directory.join(file_name(name));
                let part = directory.join(format!("{}.part", file_name(name)));
                let written =
                    std::fs::write(&part, &jpeg).and_then(|()| std::fs::rename(&part, path));
                written.map_err(|error| {
                    let _ = std::fs::remove_file(&part);
                    error.to_string()
                })?;
                None
            }
        };
        let mut kept = lock(&self.kept);
        kept.bytes += size;
        kept.snapshots.push_back(Snapshot {
            name: name.to_owned(),
            size,
            jpeg,
        });
        drop(kept);
        self.trim();
        Ok(())
    }

    /// Gives up the oldest until the others fit.
    fn trim(&self) {
        let mut kept = lock(&self.kept);
        let mut given_up = Vec::new();
        while kept.bytes > self.options.max_bytes
            && let Some(oldest) = kept.snapshots.pop_front()
        {
            kept.bytes -= oldest.size;
            given_up.push(oldest.name);
        }
        drop(kept);
        if let Some(directory) = &self.options.directory {
            for name in given_up {
                let _ = std::fs::remove_file(directory.join(file_name(&name)));
            }
        }
    }
}

impl Kept {
    /// Finds what is in the directory, the oldest first. Files of other names are left alone.
    fn read(&mut self, directory: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let file = entry.file_name();
            let Some(file) = file.to_str() else { continue };
            if let (Some(name), true) = (event_name(file), entry.file_type()?.is_file()) {
                let metadata = entry.metadata()?;
                found.push((metadata.modified()?, name.to_owned(), metadata.len()));
            }
        }
        found.sort();
        for (_, name, size) in found {
            self.bytes += size;
            self.snapshots.push_back(Snapshot {
                name,
                size,
                jpeg: None,
            });
        }
        Ok(())
    }
}

fn unusable(directory: &Path, error: &std::io::Error) -> String {
    let directory = directory.display();
    format!("event snapshots: '{directory}' cannot be used: {error}")
}

fn file_name(name: &str) -> String {
    format!("event-{name}.jpg")
}

/// The inverse of [`file_name`]: names end with two numbers.
fn event_name(file: &str) -> Option<&str> {
    let name = file.strip_prefix("event-")?.strip_suffix(".jpg")?;
    let mut parts = name.rsplitn(3, '-');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    let are_numbers = parts
        .by_ref()
        .take(2)
        .filter(|part| is_number(part))
        .count()
        == 2;
    (are_numbers && parts.next().is_some()).then_some(name)
}

#[cfg(test)]
mod tests {
    use onelook::types::Frame;

    use super::*;

    fn request() -> SnapshotRequest {
        let frame = Frame::filled(64, 48, [90; 3]).unwrap();
        let found = Instances::default();
        let frame = LiveFrame::new((0, 0.0, 0.0), frame, found.clone(), Arc::from([]));
        SnapshotRequest {
            frame: Arc::new(frame),
            found,
        }
    }

    /// Adds one and waits for it.
    async fn added(store: &SnapshotStore, name: &str) -> Option<Bytes> {
        assert!(store.add(name, request()));
        store.find(name).await
    }

    #[tokio::test]
    async fn in_memory_the_oldest_go_when_there_are_too_many_bytes() {
        let open = |max_bytes| {
            let directory = None;
            SnapshotStore::open(SnapshotOptions {
                directory,
                max_bytes,
            })
            .unwrap()
        };
        let size = added(&open(1 << 20), "a-1-1").await.unwrap().len() as u64;
        let store = open(2 * size);
        for name in ["a-1-1", "a-2-2", "b-3-1"] {
            assert_eq!(&added(&store, name).await.unwrap()[..2], [0xff, 0xd8]);
        }
        assert!(store.find("a-1-1").await.is_none());
        assert!(store.find("a-2-2").await.is_some());
        assert!(store.find("never").await.is_none());
    }

    #[tokio::test]
    async fn a_directory_keeps_them_within_its_quota_and_other_files_are_left_alone() {
        let directory = std::env::temp_dir().join(format!("onelook-shots-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let open = |max_bytes| {
            let directory = Some(directory.clone());
            SnapshotStore::open(SnapshotOptions {
                directory,
                max_bytes,
            })
            .unwrap()
        };
        let store = open(1 << 20);
        let size = added(&store, "a-b-1-1").await.unwrap().len() as u64;
        added(&store, "a-b-2-2").await.unwrap();
        for other in ["holiday.jpg", "event-x.jpg", "event-a-1-x.jpg"] {
            std::fs::write(directory.join(other), vec![0; 4096]).unwrap();
        }
        drop(store);
        // Another server finds them, and keeps to a smaller quota.
        let store = open(size);
        let files = std::fs::read_dir(&directory).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        files.sort();
        let left = [
            "event-a-1-x.jpg",
            "event-a-b-2-2.jpg",
            "event-x.jpg",
            "holiday.jpg",
        ];
        assert_eq!(files, left);
        assert!(store.find("a-b-2-2").await.is_some());
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(
            added(&store, "a-3-3").await.is_none(),
            "it cannot be written"
        );
    }
}
