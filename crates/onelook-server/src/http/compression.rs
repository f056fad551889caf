//! Compresses answers for clients that accept gzip (RFC 9110, 12.5.3): text of known size in, gzip out.
//!
//! Images, archives, tensors and streams stay as they are. A client for which the memory is missing gets
//! its answer plain. No answer holds a secret, so that its compressed length reveals none.

use std::io::Write;
use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;

use super::quality::quality;
use crate::admission::ClientKey;
use crate::app::App;
use crate::blocking::blocking;
use crate::problem::Problem;
use crate::request_context::RequestContext;

/// What is smaller fits into one packet as it is.
const WORTHWHILE: u64 = 1400;

/// Larger answers are compressed away from the threads that answer requests.
const QUICK: u64 = 32 << 10;

/// Whether a client takes gzip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GzipPreference {
    /// Plain answers only, or rather.
    Never,
    /// Where it is worth it.
    Welcome,
    /// No plain answers.
    Always,
}

impl GzipPreference {
    /// The preference by the headers. A client that accepts neither gzip nor plain answers gets plain ones.
    pub fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT_ENCODING).iter();
        let elements = values.filter_map(|value| value.to_str().ok());
        let elements = elements.flat_map(|value| value.split(','));
        let (mut gzip, mut identity, mut any) = (None, None, None);
        for element in elements {
            let mut parts = element.split(';');
            let name = parts.next().unwrap_or_default().trim();
            let target = match name.to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => &mut gzip,
                "identity" => &mut identity,
                "*" => &mut any,
                _ => continue,
            };
            *target = quality(parts);
        }
        match (gzip.or(any).unwrap_or(0), identity.or(any)) {
            (0, _) => Self::Never,
            (_, Some(0)) => Self::Always,
            (gzip, Some(identity)) if identity > gzip => Self::Never,
            _ => Self::Welcome,
        }
    }

    /// Whether an answer of this size is sent as gzip.
    pub fn applies(self, size: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Welcome => size >= WORTHWHILE,
            Self::Always => size > 0,
        }
    }
}

/// Whether a body of this type becomes smaller.
pub fn is_compressible(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind == "application/json"
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || (kind.starts_with("text/") && kind != "text/event-stream")
}

/// The bytes as a gzip file.
pub fn gzip(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), level);
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("memory takes every byte")
}

/// The middleware.
pub async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let preference = GzipPreference::of(request.headers());
    let context = request.extensions().get::<RequestContext>();
    let client = context.map(|context| Arc::clone(&context.client));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // A tag belongs to one encoding: what has one has chosen.
    let mut settling = [header::CONTENT_ENCODING, header::ETAG].iter();
    let is_settled = settling.any(|name| headers.contains_key(name));
    if is_settled || !is_compressible(kind) {
        return response;
    }
    headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    // The answer to HEAD still has its body here: its length is to be that of the answer to GET.
    let size = response.body().size_hint().exact();
    match (size.filter(|size| preference.applies(*size)), client) {
        (Some(size), Some(client)) => compressed(&app, &client, response, size).await,
        _ => response,
    }
}

async fn compressed(app: &App, client: &ClientKey, response: Response, size: u64) -> Response {
    let share = app.memory.share(client);
    // The answer and what becomes of it.
    if share.grow(2 * size as usize).is_err() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Problem::internal(error).into_response(),
    };
    let plain = body.clone();
    let work = move || gzip(&plain, Compression::fast());
    let smaller = match size > QUICK {
        true => blocking(work).await,
        false => Ok(work()),
    };
    let body = match smaller {
        Ok(smaller) => smaller.into(),
        // The thread failed; the answer is still there.
        Err(_) => return Response::from_parts(parts, Body::from(body)),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    let encoding = HeaderValue::from_static("gzip");
    parts.headers.insert(header::CONTENT_ENCODING, encoding);
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preference_follows_the_qualities() {
        use GzipPreference::{Always, Never, Welcome};
        for (values, expected) in [
            (&[][..], Never),
            (&[""], Never),
            (&["gzip"], Welcome),
            (&["br, GZIP;q=0.1, zstd"], Welcome),
            (&["deflate", "x-gzip"], Welcome),
            (&["*"], Welcome),
            (&["*;q=0.5, gzip;q=0"], Never),
            (&["gzip;q=0"], Never),
            (&["br"], Never),
            (&["identity"], Never),
            (&["gzip;q=0.5, identity"], Never),
            (&["gzip;q=0.5, *"], Never),
            (&["gzip;q=0.5, identity;q=0.4"], Welcome),
            (&["gzip, identity;q=0"], Always),
            (&["gzip;q=0.1, *;q=0"], Always),
            (&["identity;q=0, *"], Always),
            (&["identity;q=0"], Never),
            (&["gzip;q=2"], Never),
            (&["gzip;q=none"], Never),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::ACCEPT_ENCODING, value.parse().unwrap());
            }
            assert_eq!(GzipPreference::of(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn only_text_is_compressed() {
        for (kind, expected) in [
            ("application/json", true),
            ("application/problem+json", true),
            ("text/html; charset=utf-8", true),
            ("image/svg+xml", true),
            ("text/event-stream", false),
            ("image/png", false),
            ("application/zip", false),
            ("application/octet-stream", false),
            ("multipart/form-data; boundary=x", false),
            ("", false),
        ] {
            assert_eq!(is_compressible(kind), expected, "{kind}");
        }
    }
}
