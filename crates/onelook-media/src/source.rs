//! Words of the user in, decoded frames out, one after the other and in a fixed order.
//!
//! What the words mean is settled when the source is opened. Images are read and decoded ahead of
//! whoever takes them, on threads of the source, within bounds of count and bytes; a single file on the
//! thread that takes it. One that cannot be read or decoded among a thousand is one failed item.

mod ahead;
mod entry;
mod error;
mod frame;
mod options;
mod read;
mod spec;

use std::time::Instant;

pub use ahead::StopHandle;
pub use error::SourceError;
pub use frame::SourceFrame;
pub use options::{Fetch, SourceOptions};
pub use spec::IMAGE_EXTENSIONS;

use crate::decode::decode_admitted;
use crate::limits::Admission;
use ahead::{Ahead, Bounds, Reservation};
use entry::Entry;

/// Frames to come. Nothing is read before the first is asked for.
pub struct Source {
    frames: Ahead<SourceFrame>,
}

impl Source {
    /// Settles what `spec` means, word by word, and opens nothing but directories and lists.
    ///
    /// A word is an image file, a directory (its images, not those of directories within, by
    /// name), a glob (its images, by path), a `.txt` list (a path or address per line, paths seen
    /// from the list or from the current directory), an `http(s)://` address, or `-`.
    pub fn open(spec: &[String], options: &SourceOptions) -> Result<Self, SourceError> {
        let mut entries = Vec::new();
        for word in spec {
            entries.extend(spec::expand(word)?);
        }
        if entries.is_empty() {
            return Err(SourceError::Nothing);
        }
        let address = entries.iter().find_map(|entry| match entry {
            Entry::Address(name) => Some(name),
            _ => None,
        });
        if let Some(name) = address.filter(|_| options.fetch.is_none()) {
            return Err(SourceError::NoFetch { name: name.clone() });
        }
        // One file has nothing to be decoded beside: a thread would only take its own memory. An
        // address or standard input may block, and a thread lets `stop_handle` end the wait.
        let alone = matches!(&entries[..], [Entry::File { path, .. }] if path.is_file());
        let bounds = Bounds {
            threads: if alone { 0 } else { options.threads },
            results: options.images_ahead,
            bytes: options.bytes_ahead,
        };
        let options = options.clone();
        Ok(Self {
            frames: Ahead::new(entries.len(), bounds, move |index, reservation| {
                decode_entry(&entries[index], index, &options, reservation)
            }),
        })
    }

    /// How many frames are to come, where that is known: not for a camera.
    pub fn len_hint(&self) -> Option<usize> {
        Some(self.frames.left())
    }

    /// Ends this source from another thread, also while somebody waits for its next frame; but not
    /// before a single file is decoded.
    pub fn stop_handle(&self) -> StopHandle {
        self.frames.stop_handle()
    }
}

impl Iterator for Source {
    type Item = SourceFrame;

    fn next(&mut self) -> Option<SourceFrame> {
        self.frames.next()
    }
}

/// Reads and decodes one image; also tells how many bytes it goes on to hold.
fn decode_entry(
    entry: &Entry,
    index: usize,
    options: &SourceOptions,
    reservation: &Reservation<'_>,
) -> (SourceFrame, u64) {
    let start = Instant::now();
    let reserve = &|bytes| reservation.take(bytes);
    let limits = &options.limits;
    let image = read::read(entry, options, reserve).and_then(|bytes| {
        decode_admitted(&bytes, &Admission { limits, reserve }).map_err(|source| {
            SourceError::Decode {
                name: entry.name().to_owned(),
                source,
            }
        })
    });
    let held = image
        .as_ref()
        .map_or(0, |image| image.frame.pixels().len() as u64);
    let frame = SourceFrame {
        name: entry.name().to_owned(),
        path: entry.path(),
        index,
        timestamp: None,
        decode: start.elapsed().saturating_sub(reservation.waited()),
        image,
    };
    (frame, held)
}
