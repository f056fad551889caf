//! Words of the user in, decoded frames out, one after the other and in a fixed order.
//!
//! What the words mean is settled when the source is opened. Images are read and decoded ahead of
//! whoever takes them, on threads of the source, within bounds of count and bytes; a single file on the
//! thread that takes it. One that cannot be read or decoded among a thousand is one failed item. Of a
//! video, each frame is an item, and so is its failure.

mod ahead;
mod clip;
mod entry;
mod error;
mod frame;
mod options;
mod read;
mod spec;
mod stream;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use error::SourceError;
pub use frame::{SourceFrame, VideoPosition};
pub use options::{Fetch, SourceOptions, SourcePosition};
pub use spec::IMAGE_EXTENSIONS;
pub use stream::SourceStream;

use crate::StopHandle;
use crate::decode::decode_admitted;
use crate::limits::Admission;
use crate::stop::Registration;
use crate::video::Ffmpeg;
use ahead::{Ahead, Bounds, Reservation};
use clip::Clip;
use entry::Entry;

/// Frames to come. Nothing is read before the first is asked for.
pub struct Source {
    /// What is left, in order; each is dropped when it has ended.
    parts: VecDeque<(Part, Registration)>,
    entries: usize,
    stop: StopHandle,
}

/// How what the user named is to be run.
pub enum OpenedSource {
    /// One after the other.
    InTurn(Source),
    /// Beside each other: live streams have no end that others could wait for.
    AtOnce(Vec<SourceStream>),
}

/// Images in a row, or one video.
enum Part {
    Images(Ahead<SourceFrame>),
    Video(Box<Clip>),
    /// A video that nothing can read; told once.
    Unread(Option<Box<SourceFrame>>),
}

impl Source {
    /// Settles what `spec` means, word by word, and opens nothing but directories and lists.
    ///
    /// A word is an image or video file, a directory (its images and videos, not those of directories
    /// within, by name), a glob (the same, by path), a list (`.txt` or `.streams`: a path or address per
    /// line, paths seen from the list or from the current directory), an `http(s)://` address, the address
    /// of a live stream, the number of a camera, or `-`.
    ///
    /// # Errors
    /// A word that stands for nothing, or a live stream among others.
    pub fn open(spec: &[String], options: &SourceOptions) -> Result<Self, SourceError> {
        Self::in_turn(entries(spec)?, options)
    }

    /// The same, but live streams among others, and the videos of `.streams` lists, are to be run at once.
    ///
    /// # Errors
    /// As [`open`](Self::open), and an image among what is to be run at once.
    pub fn open_all(spec: &[String], options: &SourceOptions) -> Result<OpenedSource, SourceError> {
        let entries = entries(spec)?;
        let is_live = |entry: &Entry| match entry {
            Entry::Video { address, .. } => address.is_live(),
            _ => false,
        };
        let is_list = |word: &String| word.ends_with(".streams");
        let at_once = entries.iter().any(is_live)
            || (spec.iter().any(is_list) && entries.iter().all(is_video));
        match entries.len() > 1 && at_once {
            true => stream::open(entries, options).map(OpenedSource::AtOnce),
            false => Self::in_turn(entries, options).map(OpenedSource::InTurn),
        }
    }

    /// The images of these lines of a list: paths seen from `home` or from the current directory, and
    /// addresses. No line is a pattern.
    ///
    /// # Errors
    /// A line that names a video, a camera or a live stream.
    pub fn open_lines(
        lines: &[String],
        home: &Path,
        options: &SourceOptions,
    ) -> Result<Self, SourceError> {
        let entries = lines.iter().map(|line| spec::line_entry(line, home, false));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        match entries.iter().find(|entry| is_video(entry)) {
            Some(video) => Err(SourceError::VideoAmongImages {
                name: video.name().to_owned(),
            }),
            None => Self::in_turn(entries, options),
        }
    }

    fn in_turn(entries: Vec<Entry>, options: &SourceOptions) -> Result<Self, SourceError> {
        let address = entries.iter().find_map(|entry| match entry {
            Entry::Address { name, .. } => Some(name),
            _ => None,
        });
        if let Some(name) = address.filter(|_| options.fetch.is_none()) {
            return Err(SourceError::NoFetch { name: name.clone() });
        }
        let mut source = Self {
            parts: VecDeque::new(),
            entries: entries.len(),
            stop: StopHandle::default(),
        };
        // Without ffmpeg, images can still be read.
        let has_images = entries.iter().any(|entry| !is_video(entry));
        let (mut ffmpeg, mut images) = (None, Vec::new());
        let first = options.resume.as_ref().map_or(0, |position| position.index);
        for (index, entry) in entries.into_iter().enumerate().skip(first) {
            let path = entry.path();
            let Entry::Video { name, address } = entry else {
                images.push((index, entry));
                continue;
            };
            if address.is_live() && source.entries > 1 {
                return Err(SourceError::LiveAmongOthers { name });
            }
            source.push_images(std::mem::take(&mut images), options);
            let found = ffmpeg.get_or_insert_with(|| Ffmpeg::find(options.ffmpeg.as_deref()));
            match found {
                Ok(found) => {
                    source.push_video(Clip::new(found.clone(), address, index, options));
                }
                Err(error) => {
                    let error = SourceError::Video {
                        name: name.clone(),
                        source: error.clone(),
                    };
                    if !has_images {
                        return Err(error);
                    }
                    source.push_unread(SourceFrame {
                        name,
                        path,
                        index,
                        video: None,
                        timestamp: None,
                        decode: Duration::ZERO,
                        image: Err(error),
                    });
                }
            }
        }
        source.push_images(images, options);
        Ok(source)
    }

    fn push_images(&mut self, entries: Vec<(usize, Entry)>, options: &SourceOptions) {
        if entries.is_empty() {
            return;
        }
        // One file has nothing to be decoded beside: a thread would only take its own memory. An
        // address or standard input may block, and a thread lets `stop_handle` end the wait.
        let alone = matches!(&entries[..], [(_, Entry::File { path, .. })] if path.is_file());
        let bounds = Bounds {
            threads: if alone { 0 } else { options.threads },
            results: options.images_ahead,
            bytes: options.bytes_ahead,
        };
        let options = options.clone();
        let images = Ahead::new(entries.len(), bounds, move |place, reservation| {
            let (index, entry) = &entries[place];
            decode_entry(entry, *index, &options, reservation)
        });
        let registration = self.stop.on_stop(images.stopper());
        self.parts.push_back((Part::Images(images), registration));
    }

    fn push_video(&mut self, video: Clip) {
        let handle = video.stop_handle();
        let registration = self.stop.on_stop(move || handle.stop());
        self.parts
            .push_back((Part::Video(Box::new(video)), registration));
    }

    fn push_unread(&mut self, frame: SourceFrame) {
        let registration = self.stop.on_stop(|| {});
        self.parts
            .push_back((Part::Unread(Some(Box::new(frame))), registration));
    }

    /// How many frames are to come, where that is known: not while there are videos among them.
    pub fn len_hint(&self) -> Option<usize> {
        if self.stop.is_stopped() {
            return Some(0);
        }
        let parts = self.parts.iter();
        let lengths = parts.map(|(part, _)| match part {
            Part::Images(images) => Some(images.left()),
            Part::Video(_) => None,
            Part::Unread(frame) => Some(usize::from(frame.is_some())),
        });
        lengths.sum()
    }

    /// The video files in their order, if there is nothing else.
    pub fn video_files(&self) -> Option<Vec<PathBuf>> {
        let files = self.parts.iter().map(|(part, _)| match part {
            Part::Video(video) => video.file().map(PathBuf::from),
            Part::Images(_) | Part::Unread(_) => None,
        });
        files.collect()
    }

    /// How many images and videos there are in all.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Ends this source from another thread, also while somebody waits for its next frame; but not
    /// before a single image file is decoded.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }
}

impl Iterator for Source {
    type Item = SourceFrame;

    fn next(&mut self) -> Option<SourceFrame> {
        while let Some((part, _)) = self.parts.front_mut() {
            let frame = match part {
                Part::Images(images) => images.next(),
                Part::Video(video) => video.next(),
                Part::Unread(frame) => frame.take().map(|frame| *frame),
            };
            if self.stop.is_stopped() {
                return None;
            }
            if frame.is_some() {
                return frame;
            }
            self.parts.pop_front();
        }
        None
    }
}

fn is_video(entry: &Entry) -> bool {
    matches!(entry, Entry::Video { .. })
}

/// What the words stand for; never nothing.
fn entries(spec: &[String]) -> Result<Vec<Entry>, SourceError> {
    let mut entries = Vec::new();
    for word in spec {
        entries.extend(spec::expand(word)?);
    }
    match entries.is_empty() {
        true => Err(SourceError::Nothing),
        false => Ok(entries),
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
        video: None,
        timestamp: None,
        decode: start.elapsed().saturating_sub(reservation.waited()),
        image,
    };
    (frame, held)
}
