//! A directory to which images come: each has its row once.
//!
//! The directory is looked at again and again rather than watched by the system, which tells nothing of files that
//! other machines write to a network mount. An image counts as written when two looks in a row have found the
//! same size and time. What was done is known by name, size and time, so another image under an old name
//! has its row too.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use onelook::media::IMAGE_EXTENSIONS;
use onelook::printable::printable_path;

use super::part_files::{PartFiles, WatchedFile};
use super::runner::Runner;
use crate::console::Console;
use crate::failure::{Failure, refused};

/// How long a signal may go unnoticed between two looks.
const POLL: Duration = Duration::from_millis(20);

/// Gives each image that comes its row, until a signal ends it.
pub fn watch(
    directory: &Path,
    every: Duration,
    part_size: usize,
    parts: &mut PartFiles<'_>,
    runner: &Runner<'_>,
    console: &Console,
) -> Result<(), Failure> {
    let metadata = runner.metadata();
    let mut known: HashSet<WatchedFile> = parts.files().cloned().collect();
    let mut last: HashSet<WatchedFile> = HashSet::new();
    let mut is_away = false;
    fs::read_dir(directory).map_err(refused(directory))?;
    console.note(format!("watching '{}'", printable_path(directory)));
    loop {
        let begun = Instant::now();
        let found = match look(directory) {
            Ok(found) => {
                is_away = false;
                found
            }
            Err(error) => {
                // A mount may come back.
                if !std::mem::replace(&mut is_away, true) {
                    console.warn(format!("'{}': {error}", printable_path(directory)));
                }
                Vec::new()
            }
        };
        let is_ready = |file: &&WatchedFile| last.contains(*file) && !known.contains(*file);
        let ready: Vec<WatchedFile> = found.iter().filter(is_ready).cloned().collect();
        for files in ready.chunks(part_size) {
            let path = |file: &WatchedFile| directory.join(&file.name).display().to_string();
            let lines: Vec<String> = files.iter().map(path).collect();
            let first = parts.totals().images as usize;
            let rows = runner.run(first, &lines, Path::new(""))?;
            if runner.interrupt.received().is_some() {
                break;
            }
            let objects: usize = rows.iter().map(|row| row.detections.len()).sum();
            parts.write(parts.next(), &rows, files.to_vec(), &metadata)?;
            known.extend(files.iter().cloned());
            console.detail(format!("{} images, {objects} objects", rows.len()))?;
        }
        if !is_away {
            last = found.into_iter().collect();
            // What is not there any more need not be remembered.
            known.retain(|file| last.contains(file));
        }
        while begun.elapsed() < every || runner.interrupt.received().is_some() {
            if let Some(signal) = runner.interrupt.received() {
                let images = parts.totals().images;
                return Err(Failure::Interrupted {
                    signal,
                    message: format!("ended by a signal after {images} images; --resume goes on"),
                });
            }
            thread::sleep(POLL);
        }
    }
}

/// The images of a directory, the oldest first.
fn look(directory: &Path) -> std::io::Result<Vec<WatchedFile>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // A name that is no text cannot stand in a row.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let ending = name
            .rsplit_once('.')
            .map(|(_, ending)| ending.to_lowercase());
        if !ending.is_some_and(|it| IMAGE_EXTENSIONS.contains(&it.as_str()))
            || name.starts_with('.')
        {
            continue;
        }
        // It may be gone by now.
        let Ok(metadata) = fs::metadata(entry.path()) else {
            continue;
        };
        if metadata.is_file() {
            let modified = metadata.modified().ok();
            let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            found.push(WatchedFile {
                modified_ns: modified.map_or(0, |time| time.as_nanos() as u64),
                bytes: metadata.len(),
                name,
            });
        }
    }
    found.sort_by(|a, b| (a.modified_ns, &a.name).cmp(&(b.modified_ns, &b.name)));
    Ok(found)
}
