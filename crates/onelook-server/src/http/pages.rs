//! The Web UI: serves files that are embedded in the binary.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::problem::{Problem, ProblemKind, shown};

/// Content security policy: no resources of other origins, nothing inline.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A file of the Web UI.
struct File {
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal)*) => {
        &[$(File { name: $name, bytes: include_bytes!(concat!("../../ui/", $name)) }),*]
    };
}

const FILES: &[File] = files! {
    "api.js" "camera.js" "charts.js" "chips.js" "colour.js" "detect.js" "dialogs.js" "docs.css"
    "docs.html" "docs.js" "dom.js" "en.js" "exports.js" "favicon.svg" "format.js" "history.js"
    "i18n.js" "images.js" "index.html" "intake.js" "links.js" "main.js" "models.js" "monitor.js" "nms.js"
    "openapi.js" "paint.js" "preferences.js" "problem.js" "record.js" "results.js"
    "schema.js" "settings.js" "strip.js" "style.css" "theme.js" "try.js" "viewer.js" "zh.js"
};

/// `/`, `/docs`, `/favicon.ico` and `/ui/FILE`.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(|head: HeaderMap| page(head, "index.html")))
        .route("/docs", get(|head: HeaderMap| page(head, "docs.html")))
        .route(
            "/favicon.ico",
            get(|head: HeaderMap| page(head, "favicon.svg")),
        )
        .route(
            "/ui/{file}",
            get(|head: HeaderMap, Path(name): Path<String>| async move { page(head, &name).await }),
        )
}

async fn page(head: HeaderMap, name: &str) -> Response {
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        let detail = format!("the Web UI has no file {}", shown(name));
        return Problem::new(ProblemKind::NotFound, detail).into_response();
    };
    let tag = tag(file.bytes);
    let known = head.get(header::IF_NONE_MATCH);
    let headers = [
        (header::CONTENT_TYPE, content_type(name)),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::ETAG, tag.as_str()),
    ];
    if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, file.bytes).into_response()
}

fn tag(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_ui_is_embedded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/ui");
        let kinds = [".html", ".js", ".css", ".svg"];
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| kinds.iter().any(|kind| name.ends_with(kind)))
            .collect();
        names.sort();
        let embedded: Vec<&str> = FILES.iter().map(|file| file.name).collect();
        assert_eq!(embedded, names);
    }

    #[test]
    fn no_file_refers_to_another_origin() {
        for file in FILES {
            let text = String::from_utf8_lossy(file.bytes);
            for word in [
                "src=\"http",
                "href=\"http",
                "url(http",
                "import(\"http",
                "@import",
            ] {
                assert!(!text.contains(word), "{} has {word}", file.name);
            }
        }
    }

    #[test]
    fn every_file_has_a_content_type() {
        for file in FILES {
            assert_ne!(
                content_type(file.name),
                "application/octet-stream",
                "{}",
                file.name
            );
        }
    }
}
