//! Files that never change while the server runs: compressed once, with a strong validator for each
//! encoding (RFC 9110, 8.8.3), so that clients ask whether theirs is still the same.
//!
//! They are only read, never changed by a request: `If-Match` has nothing to guard.

use std::sync::OnceLock;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use sha2::{Digest, Sha256};

use super::compression::{GzipPreference, gzip, is_compressible};

/// A file.
pub struct StaticFile {
    content_type: &'static str,
    plain: Representation,
    gzip: OnceLock<Option<Representation>>,
}

/// Marks an answer whose bytes are in memory once, however many clients get it.
#[derive(Debug, Clone, Copy)]
pub struct SharedBytes;

/// The file in one encoding.
struct Representation {
    bytes: Bytes,
    /// The entity tag, in its quotes.
    tag: String,
}

impl Representation {
    fn new(bytes: Bytes) -> Self {
        let tag = format!("\"{}\"", hex(&Sha256::digest(&bytes)));
        Self { bytes, tag }
    }
}

impl StaticFile {
    /// A file with these bytes.
    pub fn new(content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self {
            content_type,
            plain: Representation::new(bytes.into()),
            gzip: OnceLock::new(),
        }
    }

    /// The answer to a request for it.
    pub fn response(&self, headers: &HeaderMap, cache_control: &'static str) -> Response {
        let size = self.plain.bytes.len() as u64;
        let wants_gzip = GzipPreference::of(headers).applies(size);
        let gzip = wants_gzip.then(|| self.gzip()).flatten();
        let chosen = gzip.unwrap_or(&self.plain);
        let tag =
            HeaderValue::from_str(&chosen.tag).expect("a tag is hexadecimal digits in quotes");
        let mut response = match is_known(headers, &chosen.tag) {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => {
                let kind = [(header::CONTENT_TYPE, self.content_type)];
                let mut file = (kind, chosen.bytes.clone()).into_response();
                if gzip.is_some() {
                    let encoding = HeaderValue::from_static("gzip");
                    file.headers_mut()
                        .insert(header::CONTENT_ENCODING, encoding);
                }
                file
            }
        };
        response.extensions_mut().insert(SharedBytes);
        let answer = response.headers_mut();
        answer.insert(header::ETAG, tag);
        let cache_control = HeaderValue::from_static(cache_control);
        answer.insert(header::CACHE_CONTROL, cache_control);
        if is_compressible(self.content_type) {
            answer.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        response
    }

    fn gzip(&self) -> Option<&Representation> {
        let compress = || {
            is_compressible(self.content_type).then(|| {
                let bytes = gzip(&self.plain.bytes, Compression::best());
                Representation::new(bytes.into())
            })
        };
        self.gzip.get_or_init(compress).as_ref()
    }
}

/// Whether `If-None-Match` names this tag, or any. The comparison is weak: proxies that compress weaken
/// the tags that they pass on.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut values = values.filter_map(|value| value.to_str().ok());
    values.any(|value| value.trim() == "*" || tags(value).any(|known| known == tag))
}

/// The tags of a list in their quotes, without the marks of weak ones, up to what is not a tag. They may
/// contain commas.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let start = rest.trim_start_matches([' ', '\t', ',']);
        let start = start.strip_prefix("W/").unwrap_or(start);
        let end = start.strip_prefix('"')?.find('"')? + 2;
        let (tag, after) = start.split_at(end);
        rest = after;
        Some(tag)
    })
}

/// The first eight bytes in hexadecimal digits.
pub fn hex(hash: &[u8]) -> String {
    let bytes = hash.iter().take(8);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(file: &StaticFile, pairs: &[(header::HeaderName, &str)]) -> Response {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        file.response(&headers, "no-cache")
    }

    fn tag(response: &Response) -> String {
        let tag = response.headers()[header::ETAG].to_str().unwrap();
        tag.to_owned()
    }

    #[test]
    fn each_encoding_has_a_tag_of_its_own() {
        let file = StaticFile::new("text/css", "a {}\n".repeat(1000));
        let plain = response(&file, &[]);
        let gzip = response(&file, &[(header::ACCEPT_ENCODING, "gzip")]);
        assert_ne!(tag(&plain), tag(&gzip));
        assert_eq!(plain.headers().get(header::CONTENT_ENCODING), None);
        assert_eq!(gzip.headers()[header::CONTENT_ENCODING], "gzip");
        for response in [plain, gzip] {
            assert_eq!(response.headers()[header::VARY], "accept-encoding");
        }
        let image = StaticFile::new("image/jpeg", vec![7; 10_000]);
        let image = response(&image, &[(header::ACCEPT_ENCODING, "gzip")]);
        assert_eq!(image.headers().get(header::CONTENT_ENCODING), None);
        assert_eq!(image.headers().get(header::VARY), None);
    }

    #[test]
    fn a_known_file_is_not_sent_again() {
        let file = StaticFile::new("text/css", "a {}");
        let own = tag(&response(&file, &[]));
        for (known, status) in [
            (vec![own.clone()], 304),
            (vec![format!("W/{own}")], 304),
            (vec![format!("\"a,b\" , W/\"c\",{own}")], 304),
            (vec!["\"a\"".to_owned(), own.clone()], 304),
            (vec!["*".to_owned()], 304),
            (vec!["\"a\"".to_owned()], 200),
            (vec![own.replace('"', "")], 200),
            (vec![format!("w/{own}")], 200),
            (vec![String::new()], 200),
        ] {
            let pairs = known
                .iter()
                .map(|value| (header::IF_NONE_MATCH, value.as_str()));
            let answer = response(&file, &pairs.collect::<Vec<_>>());
            assert_eq!(answer.status(), status, "{known:?}");
            for name in [header::ETAG, header::VARY, header::CACHE_CONTROL] {
                assert!(answer.headers().contains_key(&name), "{name}");
            }
            let has_type = answer.headers().contains_key(header::CONTENT_TYPE);
            assert_eq!(has_type, status == 200);
            assert!(!answer.headers().contains_key(header::CONTENT_ENCODING));
        }
    }

    #[test]
    fn a_tag_for_one_encoding_says_nothing_of_the_other() {
        let file = StaticFile::new("text/css", "a {}\n".repeat(1000));
        let gzip = (header::ACCEPT_ENCODING, "gzip");
        let plain = tag(&response(&file, &[]));
        let known = (header::IF_NONE_MATCH, plain.as_str());
        assert_eq!(response(&file, &[known.clone(), gzip]).status(), 200);
        assert_eq!(response(&file, &[known]).status(), 304);
    }
}
