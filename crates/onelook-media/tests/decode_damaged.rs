//! Cut and mangled images: an error that names the damage, never a panic, never half a frame.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use onelook_media::{DecodeError, Limits, decode};
use proptest::prelude::*;

/// More than any fixture has, little enough that a mangled header costs nothing.
const LIMITS: Limits = Limits {
    max_pixels: 1 << 16,
    max_bytes: 1 << 20,
};

fn fixtures() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.extension().is_some_and(|ending| ending != "py"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn a_cut_image_is_an_error_or_whole() {
    for path in fixtures() {
        let bytes = fs::read(&path).unwrap();
        let whole = decode(&bytes, &LIMITS).unwrap();
        for length in 0..bytes.len() {
            match decode(&bytes[..length], &LIMITS) {
                Ok(frame) => assert!(
                    frame == whole,
                    "{} cut to {length} of {} bytes gives a different image",
                    path.display(),
                    bytes.len()
                ),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

#[test]
fn an_image_cut_in_half_names_its_format() {
    for path in fixtures() {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("animated") || name == "pages.tif" {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        match decode(&bytes[..bytes.len() / 2], &LIMITS) {
            Err(error @ DecodeError::Corrupt { .. }) => {
                assert!(
                    error.to_string().contains("damaged or cut short"),
                    "{error}"
                );
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn mangled_images_never_panic(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let files = fixtures();
        let mut bytes = fs::read(which.get(&files)).unwrap();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(frame) = decode(&bytes, &LIMITS) {
            prop_assert!(frame.width() * frame.height() <= LIMITS.max_pixels as usize);
        }
    }
}
