//! One word of the user in, the entries that it stands for out.

use std::fs;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use super::error::SourceError;
use super::read;

/// File name endings (lower case) that count as images in directories and globs.
pub const IMAGE_EXTENSIONS: [&str; 11] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "tif", "tiff", "gif",
];

const VIDEO_EXTENSIONS: [&str; 14] = [
    "mp4", "avi", "mov", "mkv", "webm", "mpg", "mpeg", "m4v", "wmv", "flv", "ts", "m2ts", "3gp",
    "asf",
];

const STREAM_SCHEMES: [&str; 7] = [
    "rtsp://", "rtsps://", "rtmp://", "rtp://", "tcp://", "udp://", "srt://",
];

const MAX_LIST_BYTES: u64 = 64 << 20;

/// What `word` stands for; never an empty list.
pub(super) fn expand(word: &str) -> Result<Vec<Entry>, SourceError> {
    if word.is_empty() {
        return Err(SourceError::Nothing);
    }
    if word == "-" {
        return Ok(vec![Entry::StandardInput]);
    }
    if is_address(word) {
        return address(word).map(|entry| vec![entry]);
    }
    if let Some(kind) = stream_kind(word) {
        return Err(not_yet(word, kind));
    }
    let path = Path::new(word);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => directory(word),
        Ok(_) => file(word),
        Err(_) if is_camera(word) => Err(not_yet(word, "the number of a camera")),
        Err(_) if word.contains(['*', '?', '[']) => pattern(word),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(SourceError::Missing {
            name: word.to_owned(),
        }),
        Err(error) => Err(unreadable(word, &error)),
    }
}

fn file(word: &str) -> Result<Vec<Entry>, SourceError> {
    let path = Path::new(word);
    match extension(path).as_str() {
        "txt" => list(word),
        "streams" => Err(not_yet(word, "a list of streams")),
        ending if VIDEO_EXTENSIONS.contains(&ending) => Err(not_yet(word, "a video")),
        _ => Ok(vec![file_entry(path.to_owned())]),
    }
}

fn directory(word: &str) -> Result<Vec<Entry>, SourceError> {
    let listing = fs::read_dir(word).map_err(|error| unreadable(word, &error))?;
    let mut files = Vec::new();
    for item in listing {
        files.push(item.map_err(|error| unreadable(word, &error))?.path());
    }
    images(files, || format!("the directory '{word}'"))
}

fn pattern(word: &str) -> Result<Vec<Entry>, SourceError> {
    let found = glob::glob(word).map_err(|error| SourceError::BadGlob {
        name: word.to_owned(),
        reason: error.to_string(),
    })?;
    let mut files = Vec::new();
    for item in found {
        files.push(item.map_err(|error| unreadable(word, error.error()))?);
    }
    images(files, || format!("the glob '{word}'"))
}

/// The images among `files`, sorted; other files are passed over.
fn images(mut files: Vec<PathBuf>, place: impl Fn() -> String) -> Result<Vec<Entry>, SourceError> {
    files.retain(|path| IMAGE_EXTENSIONS.contains(&extension(path).as_str()) && !path.is_dir());
    files.sort();
    if files.is_empty() {
        return Err(SourceError::NoImages { place: place() });
    }
    Ok(files.into_iter().map(file_entry).collect())
}

/// A line that leads nowhere stays in: it is reported when its turn comes.
fn list(word: &str) -> Result<Vec<Entry>, SourceError> {
    let bytes = read::read_file(word, Path::new(word), MAX_LIST_BYTES, &|_| true)?;
    let text = String::from_utf8(bytes).map_err(|_| SourceError::Unreadable {
        name: word.to_owned(),
        reason: "a list must be text in UTF-8, a path or address per line".to_owned(),
    })?;
    let home = Path::new(word).parent().unwrap_or(Path::new(""));
    let entries = text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| line_entry(line, home))
        .collect::<Result<Vec<_>, _>>()?;
    if entries.is_empty() {
        return Err(SourceError::NoImages {
            place: format!("the list '{word}'"),
        });
    }
    Ok(entries)
}

fn line_entry(line: &str, home: &Path) -> Result<Entry, SourceError> {
    if is_address(line) {
        return address(line);
    }
    if let Some(kind) = stream_kind(line) {
        return Err(not_yet(line, kind));
    }
    let beside_list = home.join(line);
    let from_here = PathBuf::from(line);
    Ok(file_entry(
        match !beside_list.exists() && from_here.exists() {
            true => from_here,
            false => beside_list,
        },
    ))
}

fn address(word: &str) -> Result<Entry, SourceError> {
    let path = word.split(['?', '#']).next().unwrap_or(word);
    let ending = extension(Path::new(path));
    match ending.as_str() {
        "m3u8" | "mpd" => Err(not_yet(word, "a video stream")),
        ending if VIDEO_EXTENSIONS.contains(&ending) => Err(not_yet(word, "a video")),
        _ => Ok(Entry::Address(word.to_owned())),
    }
}

fn file_entry(path: PathBuf) -> Entry {
    Entry::File {
        name: path.display().to_string(),
        path,
    }
}

fn is_address(word: &str) -> bool {
    starts_with_ignoring_case(word, "http://") || starts_with_ignoring_case(word, "https://")
}

fn stream_kind(word: &str) -> Option<&'static str> {
    let scheme = STREAM_SCHEMES
        .iter()
        .any(|scheme| starts_with_ignoring_case(word, scheme));
    scheme.then_some("a live stream")
}

fn is_camera(word: &str) -> bool {
    word.len() <= 3 && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn starts_with_ignoring_case(word: &str, prefix: &str) -> bool {
    word.get(..prefix.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

fn extension(path: &Path) -> String {
    path.extension()
        .map(|ending| ending.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default()
}

fn not_yet(word: &str, kind: &'static str) -> SourceError {
    SourceError::NotYet {
        name: word.to_owned(),
        kind,
    }
}

fn unreadable(word: &str, error: &std::io::Error) -> SourceError {
    SourceError::Unreadable {
        name: word.to_owned(),
        reason: error.to_string(),
    }
}
