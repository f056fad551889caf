//! Parses `multipart/form-data` (RFC 7578): a body in memory in, parts out that are slices of it.
//!
//! Copies no content. A malformed form is an error; the number of parts is bounded.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use memchr::memmem;

use crate::problem::{Problem, ProblemKind};

/// Longest boundary (RFC 2046).
pub const MAX_BOUNDARY: usize = 70;

/// Longest headers of a part.
const MAX_HEAD: usize = 8 << 10;

/// Longest name of a field or a file; the rest is cut.
const MAX_NAME: usize = 255;

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The field's name.
    pub name: String,
    /// The file's name, if it is a file.
    pub file_name: Option<String>,
    /// Its content.
    pub content: Bytes,
}

impl Part {
    /// Whether it is an image: a file, or a field with a name for images.
    pub fn is_image(&self) -> bool {
        const NAMES: [&str; 4] = ["image", "images", "file", "files"];
        self.file_name.is_some() || NAMES.contains(&self.name.as_str())
    }

    /// The image's name in the response.
    pub fn image_name(&self) -> String {
        let named = self.file_name.as_deref().filter(|name| !name.is_empty());
        named.unwrap_or(&self.name).to_owned()
    }

    /// Its content as text.
    pub fn text(&self) -> Result<&str, Problem> {
        std::str::from_utf8(&self.content)
            .map(str::trim)
            .map_err(|_| malformed(format!("the field '{}' is not UTF-8 text", self.name)))
    }
}

/// The boundary of a form, by the content type.
pub fn boundary(headers: &HeaderMap) -> Result<String, Problem> {
    let value = headers.get(CONTENT_TYPE).map(|value| value.to_str());
    let Some(Ok(value)) = value else {
        return Err(unsupported());
    };
    let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Err(unsupported());
    }
    let boundary = parameter(parameters, "boundary").unwrap_or_default();
    if boundary.is_empty() || boundary.len() > MAX_BOUNDARY {
        return Err(malformed(
            "the content type multipart/form-data needs a boundary of 1 to 70 characters",
        ));
    }
    Ok(boundary)
}

/// The parts of a form, at most `limit` of them.
pub fn parts(body: &Bytes, boundary: &str, limit: usize) -> Result<Vec<Part>, Problem> {
    let mut reader = PartReader::new(body, boundary)?;
    let mut parts = Vec::new();
    while let Some(part) = reader.next_part()? {
        if parts.len() == limit {
            let detail = format!("the form has more than {limit} parts");
            return Err(Problem::new(ProblemKind::TooLarge, detail));
        }
        parts.push(part);
    }
    Ok(parts)
}

/// The parts that are complete in the first bytes of a form, at most `limit` of them.
pub fn first_parts(start: &Bytes, boundary: &str, limit: usize) -> Vec<Part> {
    let Ok(mut reader) = PartReader::new(start, boundary) else {
        return Vec::new();
    };
    std::iter::from_fn(|| reader.next_part().ok().flatten())
        .take(limit)
        .collect()
}

/// Reads a form part by part.
struct PartReader<'a> {
    body: &'a Bytes,
    finder: memmem::Finder<'static>,
    /// The position after the last boundary that was read.
    rest: usize,
}

impl<'a> PartReader<'a> {
    fn new(body: &'a Bytes, boundary: &str) -> Result<Self, Problem> {
        let delimiter = format!("\r\n--{boundary}");
        Ok(Self {
            body,
            rest: first_delimiter(body, &delimiter)?,
            finder: memmem::Finder::new(&delimiter).into_owned(),
        })
    }

    /// The next part; `None` after the closing boundary.
    fn next_part(&mut self) -> Result<Option<Part>, Problem> {
        let line = &self.body[self.rest..];
        if line.starts_with(b"--") {
            return Ok(None);
        }
        let padding = line.iter().take_while(|byte| b" \t".contains(byte)).count();
        if !line[padding..].starts_with(b"\r\n") {
            return Err(malformed(
                "a boundary must be followed by a line break or --",
            ));
        }
        let start = self.rest + padding;
        let length = self
            .finder
            .find(&self.body[start..])
            .ok_or_else(|| malformed("the closing boundary is missing"))?;
        self.rest = start + length + self.finder.needle().len();
        // The line break after the boundary is kept: a part without headers has an empty line next.
        part(self.body.slice(start..start + length)).map(Some)
    }
}

/// The position after the first boundary, which may be at the very start.
fn first_delimiter(body: &[u8], delimiter: &str) -> Result<usize, Problem> {
    let bare = &delimiter[2..];
    if body.starts_with(bare.as_bytes()) {
        return Ok(bare.len());
    }
    memmem::find(body, delimiter.as_bytes())
        .map(|position| position + delimiter.len())
        .ok_or_else(|| malformed("its boundary does not occur in the body"))
}

/// A part from `CRLF head CRLF CRLF content`.
fn part(bytes: Bytes) -> Result<Part, Problem> {
    let searched = &bytes[..bytes.len().min(MAX_HEAD)];
    let length = memmem::find(searched, b"\r\n\r\n")
        .ok_or_else(|| malformed("the headers of a part do not end"))?;
    let head = std::str::from_utf8(&bytes[..length])
        .map_err(|_| malformed("the headers of a part are not UTF-8"))?;
    let disposition = head
        .split("\r\n")
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let found = name.trim().eq_ignore_ascii_case("content-disposition");
            found.then(|| value.split_once(';').map_or("", |(_, rest)| rest))
        })
        .ok_or_else(|| malformed("a part has no Content-Disposition"))?;
    let name = parameter(disposition, "name").ok_or_else(|| malformed("a part has no name"))?;
    Ok(Part {
        name: clean(&name),
        file_name: parameter(disposition, "filename").map(|name| clean(&name)),
        content: bytes.slice(length + 4..),
    })
}

/// The value of `name=value` or `name="value"` in a list separated by semicolons.
fn parameter(text: &str, wanted: &str) -> Option<String> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value(after.trim_start());
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

/// A value and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim_end().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((position, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[position + 1..]),
            // Old browsers send paths with unescaped backslashes: only a quote counts as escaped.
            '\\' if quoted[position + 1..].starts_with('"') => {
                value.push('"');
                letters.next();
            }
            _ => value.push(letter),
        }
    }
    (value, "")
}

/// A name without control characters, cut to a bounded length.
pub fn clean(name: &str) -> String {
    let letters = name.chars().filter(|letter| !letter.is_control());
    letters.take(MAX_NAME).collect()
}

fn malformed(reason: impl AsRef<str>) -> Problem {
    Problem::bad_request(format!(
        "the multipart form is malformed: {}",
        reason.as_ref()
    ))
}

fn unsupported() -> Problem {
    let detail = "send the image as multipart/form-data";
    Problem::new(ProblemKind::Unsupported, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &'static [u8]) -> Result<Vec<Part>, Problem> {
        parts(&Bytes::from_static(body), "B", 8)
    }

    #[test]
    fn fields_and_files_come_out_in_order() {
        let parts = read(
            b"ignored\r\n--B\r\nContent-Disposition: form-data; name=\"conf\"\r\n\r\n0.5\r\n\
              --B  \r\ncontent-type: image/jpeg\r\n\
              content-disposition: form-data; filename=\"a \\\"b\\\";c.jpg\"; name=image\r\n\r\n\
              \xff\r\n--b\r\n\r\n--B--\r\nignored",
        )
        .unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].text(), Ok("0.5"));
        assert!(!parts[0].is_image());
        assert_eq!(parts[1].file_name.as_deref(), Some("a \"b\";c.jpg"));
        assert_eq!(&parts[1].content[..], b"\xff\r\n--b\r\n");
        assert_eq!(read(b"--B--").unwrap(), []);
    }

    #[test]
    fn a_malformed_form_is_refused_with_the_reason() {
        let cases: [(&[u8], &str); 6] = [
            (b"", "does not occur"),
            (b"--Bx", "a line break or --"),
            (
                b"--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx",
                "closing boundary",
            ),
            (b"--B\r\n\r\n\r\nx\r\n--B--", "no Content-Disposition"),
            (
                b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--",
                "no name",
            ),
            (
                b"--B\r\nContent-Disposition: form-data; name=a\r\n--B--",
                "do not end",
            ),
        ];
        for (body, reason) in cases {
            let problem = read(body).unwrap_err();
            assert!(problem.detail.contains(reason), "{}", problem.detail);
        }
        let one = "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n".repeat(9) + "--B--";
        let many = parts(&Bytes::from(one), "B", 8).unwrap_err();
        assert_eq!(many.kind, ProblemKind::TooLarge);
    }

    #[test]
    fn the_boundary_may_be_quoted() {
        let mut headers = HeaderMap::new();
        assert_eq!(
            boundary(&headers).unwrap_err().kind,
            ProblemKind::Unsupported
        );
        let value = "multipart/form-data; charset=utf-8; boundary=\"a b\"";
        headers.insert(CONTENT_TYPE, value.parse().unwrap());
        assert_eq!(boundary(&headers).unwrap(), "a b");
        headers.insert(CONTENT_TYPE, "multipart/form-data".parse().unwrap());
        assert_eq!(
            boundary(&headers).unwrap_err().kind,
            ProblemKind::BadRequest
        );
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in "(--B|\r\n|--|name=|\"|;|:|Content-Disposition|x| )*") {
            let _ = parts(&Bytes::from(body), "B", 8);
        }
    }
}
