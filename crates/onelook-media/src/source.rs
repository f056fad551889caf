//! Words of the user in, encoded images out, one after the other and in a fixed order.
//!
//! What the words mean is settled when the source is opened; bytes are read when their turn comes,
//! so that one unreadable file among a thousand is one failed item.

mod entry;
mod error;
mod options;
mod read;
mod spec;

pub use entry::SourceItem;
pub use error::SourceError;
pub use options::{Fetch, SourceOptions};
pub use spec::IMAGE_EXTENSIONS;

use entry::Entry;

/// Images to come. `len()` tells how many are left.
pub struct Source {
    entries: std::vec::IntoIter<Entry>,
    options: SourceOptions,
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
        match address {
            Some(name) if options.fetch.is_none() => {
                Err(SourceError::NoFetch { name: name.clone() })
            }
            _ => Ok(Self {
                entries: entries.into_iter(),
                options: options.clone(),
            }),
        }
    }
}

impl Iterator for Source {
    type Item = SourceItem;

    fn next(&mut self) -> Option<SourceItem> {
        self.entries
            .next()
            .map(|entry| read::read(entry, &self.options))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for Source {}
