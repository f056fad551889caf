//! One word of the user in, the entries that it stands for out.

use std::fs;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use super::error::SourceError;
use super::read;
use crate::video::{STREAM_EXTENSIONS, VIDEO_EXTENSIONS, VideoAddress, redact_url};

/// File name endings (lower case) that count as images in directories and globs.
pub const IMAGE_EXTENSIONS: [&str; 11] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "tif", "tiff", "gif",
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
    if let Some(address) = stream(word)? {
        return Ok(vec![address]);
    }
    let path = Path::new(word);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => directory(word),
        Ok(_) => file(word),
        Err(_) if camera(word).is_some() => Ok(camera(word).into_iter().collect()),
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
        "txt" | "streams" => list(word),
        _ => Ok(vec![file_entry(path.to_owned())]),
    }
}

fn directory(word: &str) -> Result<Vec<Entry>, SourceError> {
    let listing = fs::read_dir(word).map_err(|error| unreadable(word, &error))?;
    let mut files = Vec::new();
    for item in listing {
        files.push(item.map_err(|error| unreadable(word, &error))?.path());
    }
    media(files, || format!("the directory '{word}'"))
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
    media(files, || format!("the glob '{word}'"))
}

/// The images and videos among `files`, sorted; other files are passed over.
fn media(mut files: Vec<PathBuf>, place: impl Fn() -> String) -> Result<Vec<Entry>, SourceError> {
    let is_image = |path: &Path| IMAGE_EXTENSIONS.contains(&extension(path).as_str());
    files.retain(|path| (is_image(path) || is_video(path)) && !path.is_dir());
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
    let has_comments = word.ends_with(".streams");
    let entries = text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .filter(|line| !(line.is_empty() || has_comments && line.starts_with('#')))
        .map(|line| line_entry(line, home, has_comments))
        .collect::<Result<Vec<_>, _>>()?;
    if entries.is_empty() {
        return Err(SourceError::NoImages {
            place: format!("the list '{word}'"),
        });
    }
    Ok(entries)
}

/// What a line of a list in the directory `home` stands for. Of a list of streams an address of the web that
/// does not end like an image is a camera.
pub(super) fn line_entry(
    line: &str,
    home: &Path,
    is_of_streams: bool,
) -> Result<Entry, SourceError> {
    if is_address(line) {
        let is_image = IMAGE_EXTENSIONS.contains(&address_ending(line).as_str());
        return match is_of_streams && !is_image {
            true => video_address(VideoAddress::Url(line.to_owned()), line),
            false => address(line),
        };
    }
    if let Some(address) = stream(line)? {
        return Ok(address);
    }
    let beside_list = home.join(line);
    let from_here = PathBuf::from(line);
    if !beside_list.exists()
        && !from_here.exists()
        && let Some(camera) = camera(line)
    {
        return Ok(camera);
    }
    Ok(file_entry(
        match !beside_list.exists() && from_here.exists() {
            true => from_here,
            false => beside_list,
        },
    ))
}

fn address(word: &str) -> Result<Entry, SourceError> {
    let ending = address_ending(word);
    let is_video = VIDEO_EXTENSIONS.contains(&ending.as_str());
    match is_video || STREAM_EXTENSIONS.contains(&ending.as_str()) {
        true => video_address(VideoAddress::Url(word.to_owned()), word),
        false => Ok(Entry::Address {
            name: redact_url(word),
            url: word.to_owned(),
        }),
    }
}

fn address_ending(word: &str) -> String {
    let path = word.split(['?', '#']).next().unwrap_or(word);
    extension(Path::new(path))
}

fn stream(word: &str) -> Result<Option<Entry>, SourceError> {
    let address = VideoAddress::from_url(word);
    address
        .map(|address| video_address(address, word))
        .transpose()
}

fn video_address(address: VideoAddress, word: &str) -> Result<Entry, SourceError> {
    // It goes to ffmpeg as a line.
    match word.contains(char::is_control) {
        true => Err(SourceError::Unreadable {
            name: address.name(),
            reason: "an address has no control characters".to_owned(),
        }),
        false => Ok(Entry::video(address)),
    }
}

fn file_entry(path: PathBuf) -> Entry {
    match is_video(&path) {
        true => Entry::video(VideoAddress::File(path)),
        false => Entry::File {
            name: path.display().to_string(),
            path,
        },
    }
}

fn is_video(path: &Path) -> bool {
    VIDEO_EXTENSIONS.contains(&extension(path).as_str())
}

fn is_address(word: &str) -> bool {
    starts_with_ignoring_case(word, "http://") || starts_with_ignoring_case(word, "https://")
}

/// A camera at this computer by its number.
fn camera(word: &str) -> Option<Entry> {
    let is_number = word.len() <= 3 && word.bytes().all(|byte| byte.is_ascii_digit());
    let number = word.parse().ok().filter(|_| is_number)?;
    Some(Entry::video(VideoAddress::Camera(number)))
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

fn unreadable(word: &str, error: &std::io::Error) -> SourceError {
    SourceError::Unreadable {
        name: word.to_owned(),
        reason: error.to_string(),
    }
}
