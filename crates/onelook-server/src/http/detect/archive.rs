//! Archives that are written while they are sent: files in, pieces of a ZIP file or of a form out.
//!
//! A ZIP has the size and sum of a file ahead of it, as every program that opens one expects.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use zip::write::{SimpleFileOptions, ZipFileBuilder};
use zip::{CompressionMethod, ZipWriter};

use super::accept::ArchiveFormat;
use crate::locks::lock;
use crate::problem::Problem;

/// Longest file name without its extension, in bytes; file systems take 255 with it.
const MAX_STEM: usize = 200;

/// Extensions that the extension of the answer replaces.
const EXTENSIONS: [&str; 8] = ["bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// A file of an archive.
pub struct ArchiveFile {
    /// The field of the form.
    pub field: &'static str,
    /// Its name, unlike all others.
    pub name: String,
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub content: Bytes,
}

/// Writes an archive.
pub enum ArchiveWriter {
    /// A ZIP file, and what was written of it since it was last asked.
    Zip(Box<ZipWriter<UnsentBytes>>, UnsentBytes),
    /// `multipart/form-data` (RFC 7578) with this boundary.
    Form(String),
}

impl ArchiveWriter {
    /// An archive without files.
    pub fn new(format: ArchiveFormat) -> Self {
        match format {
            ArchiveFormat::Zip => {
                let unsent = UnsentBytes::default();
                Self::Zip(Box::new(ZipWriter::new(unsent.clone())), unsent)
            }
            ArchiveFormat::Form => {
                // Keys from the system's random numbers: no image holds this boundary but by guessing it.
                let random = [0, 1].map(|half: u64| RandomState::new().hash_one(half));
                Self::Form(format!("{:016x}{:016x}", random[0], random[1]))
            }
        }
    }

    /// The archive's content type.
    pub fn content_type(&self) -> String {
        match self {
            Self::Zip(..) => "application/zip".to_owned(),
            Self::Form(boundary) => format!("multipart/form-data; boundary={boundary}"),
        }
    }

    /// Adds a file; the pieces of the archive that it makes.
    pub fn add(&mut self, file: ArchiveFile) -> Result<Vec<Bytes>, Problem> {
        match self {
            Self::Zip(writer, unsent) => {
                // Images are compressed already.
                let method = match file.media_type.starts_with("image/") {
                    true => CompressionMethod::Stored,
                    false => CompressionMethod::Deflated,
                };
                let options = SimpleFileOptions::DEFAULT.compression_method(method);
                let options = options.unix_permissions(0o644);
                let mut entry =
                    ZipFileBuilder::new(&file.name, options).map_err(Problem::internal)?;
                entry.write_all(&file.content).map_err(Problem::internal)?;
                let entry = entry.finish().map_err(Problem::internal)?;
                writer.add_prepared_file(entry).map_err(Problem::internal)?;
                Ok(vec![unsent.take()])
            }
            Self::Form(boundary) => {
                let (field, name, kind) = (file.field, file.name, file.media_type);
                let head = format!(
                    "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"; \
                     filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n"
                );
                let end = Bytes::from_static(b"\r\n");
                Ok(vec![head.into(), file.content, end])
            }
        }
    }

    /// The end of the archive.
    pub fn finish(self) -> Result<Bytes, Problem> {
        match self {
            Self::Zip(writer, unsent) => {
                writer.finish().map_err(Problem::internal)?;
                Ok(unsent.take())
            }
            Self::Form(boundary) => Ok(format!("--{boundary}--\r\n").into()),
        }
    }
}

/// The end of a file whose beginning was sent: it is written forwards only.
#[derive(Clone, Default)]
pub struct UnsentBytes {
    bytes: Arc<Mutex<Vec<u8>>>,
    position: u64,
}

impl UnsentBytes {
    fn take(&self) -> Bytes {
        let mut bytes = lock(&self.bytes);
        std::mem::take(&mut *bytes).into()
    }
}

impl Write for UnsentBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut unsent = lock(&self.bytes);
        unsent.extend_from_slice(bytes);
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for UnsentBytes {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match to {
            SeekFrom::Current(0) | SeekFrom::End(0) => Ok(self.position),
            SeekFrom::Start(position) if position == self.position => Ok(position),
            _ => Err(io::ErrorKind::NotSeekable.into()),
        }
    }
}

/// Gives files names that every system takes, each only once.
#[derive(Default)]
pub struct FileNames(HashSet<String>);

impl FileNames {
    /// A name like that of an image, with this extension.
    pub fn next(&mut self, image: &str, extension: &str) -> String {
        let stem = stem(image);
        let names = (1..).map(|number| match number {
            1 => format!("{stem}.{extension}"),
            _ => format!("{stem}-{number}.{extension}"),
        });
        // Some systems do not tell upper case from lower case.
        let mut free = names.filter(|name| self.0.insert(name.to_lowercase()));
        free.next().expect("there are more numbers than files")
    }
}

/// The last part of a path without an image's extension, made of letters that every system takes.
fn stem(path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = match name.rsplit_once('.') {
        Some((stem, extension)) if EXTENSIONS.contains(&&*extension.to_ascii_lowercase()) => stem,
        _ => name,
    };
    let is_odd = |letter: char| letter.is_control() || "<>:\"|?*%".contains(letter);
    let letters = name
        .chars()
        .map(|letter| if is_odd(letter) { '_' } else { letter });
    let mut stem = String::new();
    for letter in letters {
        if stem.len() + letter.len_utf8() > MAX_STEM {
            break;
        }
        stem.push(letter);
    }
    let stem = stem.trim_matches(['.', ' ']);
    match stem {
        "" => "image".to_owned(),
        stem if is_device(stem) => format!("_{stem}"),
        stem => stem.to_owned(),
    }
}

/// Whether Windows takes a name for that of a device, whatever extension it has.
fn is_device(stem: &str) -> bool {
    let name = stem.split('.').next().unwrap_or_default().trim_end();
    let name = name.to_ascii_uppercase();
    let numbered = name.strip_prefix("COM").or(name.strip_prefix("LPT"));
    matches!(
        name.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) || numbered.is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;

    fn file(name: &str, media_type: &'static str, content: &[u8]) -> ArchiveFile {
        ArchiveFile {
            field: "image",
            name: name.to_owned(),
            media_type,
            content: Bytes::copy_from_slice(content),
        }
    }

    fn written(format: ArchiveFormat) -> (String, Vec<u8>) {
        let mut writer = ArchiveWriter::new(format);
        let kind = writer.content_type();
        let image = writer.add(file("ä.jpg", "image/jpeg", &[7; 5000])).unwrap();
        let text = writer
            .add(file("r.json", "application/json", &[b' '; 5000]))
            .unwrap();
        let pieces = [
            image.concat(),
            text.concat(),
            writer.finish().unwrap().to_vec(),
        ];
        (kind, pieces.concat())
    }

    #[test]
    fn a_zip_has_sizes_ahead_of_its_files() {
        let (kind, bytes) = written(ArchiveFormat::Zip);
        assert_eq!(kind, "application/zip");
        // The general purpose flags: a name in UTF-8, and no sizes behind the file.
        assert_eq!(bytes[6..8], [0, 8]);
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        for (name, compressed, byte) in [("ä.jpg", false, 7), ("r.json", true, b' ')] {
            let mut entry = archive.by_name(name).unwrap();
            assert_eq!(entry.compressed_size() < 100, compressed);
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert!(content == [byte; 5000], "{name}");
        }
    }

    #[test]
    fn a_form_has_a_boundary_of_its_own() {
        let ((kind, bytes), (other, _)) =
            (written(ArchiveFormat::Form), written(ArchiveFormat::Form));
        assert_ne!(kind, other);
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        let parts = crate::http::multipart::parts(&bytes.into(), boundary, 9).unwrap();
        let names: Vec<_> = parts.iter().map(|part| part.image_name()).collect();
        assert_eq!(names, ["ä.jpg", "r.json"]);
        assert_eq!(parts[0].content, vec![7; 5000]);
    }

    #[test]
    fn names_are_safe_and_differ() {
        let mut names = FileNames::default();
        for (image, name) in [
            ("bus.jpg", "bus.jpg"),
            ("BUS.PNG", "BUS-2.jpg"),
            ("bus.jpeg", "bus-3.jpg"),
            ("../../etc/passwd", "passwd.jpg"),
            ("C:\\images\\a.b.tif", "a.b.jpg"),
            ("", "image.jpg"),
            ("..", "image-2.jpg"),
            ("a\"b\r\n:c", "a_b___c.jpg"),
            ("nul.png", "_nul.jpg"),
            ("Com1.tar.gz", "_Com1.tar.gz.jpg"),
            ("狗", "狗.jpg"),
        ] {
            assert_eq!(names.next(image, "jpg"), name, "{image}");
        }
        assert!(names.next(&"狗".repeat(300), "jpg").len() < 255);
    }
}
