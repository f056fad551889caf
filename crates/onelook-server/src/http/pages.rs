//! The Web UI: serves files that are embedded in the binary, at addresses that change with their
//! content, so that browsers keep them for good.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::static_file::{StaticFile, hex};
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
    "api-texts.js" "api.js" "camera.js" "charts.js" "chips.js" "colour.js" "compare.js"
    "count-charts.js" "detect.js"
    "dialogs.js" "docs.css" "docs.html" "docs.js" "dom.js" "en.js" "exports.js" "favicon.svg"
    "format.js" "formats.js" "health.js" "history.js" "i18n.js" "images.js" "index.html" "intake.js"
    "labels.js" "links.js" "live-socket.js" "main.js" "models.js" "monitor.js" "nms.js" "offer.js"
    "openapi.js" "paint.js" "place-text.js" "preferences.js" "problem.js" "record.js" "requests.js" "results.js"
    "sample.jpg" "schema.js" "settings.js" "steps.js" "stream-canvas.js" "stream-events.js" "stream-tile.js" "streams.js"
    "strip.js" "style.css" "theme.js" "token.js" "try.js" "video-results.js" "video-timeline.js"
    "video.js" "viewer.js" "zh-api.js" "zh.js" "zip.js"
};

/// What a browser may do with a file that it has.
#[derive(Clone, Copy)]
enum Caching {
    /// Ask each time whether it is still the same.
    Revalidate,
    /// Keep it: the address changes with the content.
    Forever,
}

impl Caching {
    fn header(self) -> &'static str {
        match self {
            Self::Revalidate => "no-cache",
            Self::Forever => "public, max-age=31536000, immutable",
        }
    }
}

/// The hash of all files together, which is part of their addresses: modules import each other by
/// relative addresses, so that a page gets all of its files from one version.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for file in FILES {
        hash.update((file.name.len() as u64).to_le_bytes());
        hash.update(file.name);
        hash.update((file.bytes.len() as u64).to_le_bytes());
        hash.update(file.bytes);
    }
    hex(&hash.finalize())
});

/// The files as they are served: HTML with the addresses of this version.
static SERVED: LazyLock<Vec<(&'static str, StaticFile)>> = LazyLock::new(|| {
    let served = |file: &File| {
        let bytes = match file.name.ends_with(".html") {
            true => versioned_addresses(file.bytes).into(),
            false => Bytes::from_static(file.bytes),
        };
        (file.name, StaticFile::new(content_type(file.name), bytes))
    };
    FILES.iter().map(served).collect()
});

fn versioned_addresses(html: &[u8]) -> String {
    String::from_utf8_lossy(html).replace("\"/ui/", &address("\""))
}

/// Where this version's files are, behind `before`.
fn address(before: &str) -> String {
    format!("{before}/ui/{}/", *VERSION)
}

/// `/`, `/docs`, `/favicon.ico`, `/ui/VERSION/FILE` and `/ui/FILE`.
pub fn routes() -> Router<Arc<App>> {
    let fixed = |name: &'static str| {
        get(move |head: HeaderMap| file(head, name.to_owned(), Caching::Revalidate))
    };
    Router::new()
        .route("/", fixed("index.html"))
        .route("/docs", fixed("docs.html"))
        .route("/favicon.ico", fixed("favicon.svg"))
        .route("/ui/{file}", get(latest))
        .route("/ui/{version}/{file}", get(versioned))
}

async fn latest(head: HeaderMap, Path(name): Path<String>) -> Response {
    file(head, name, Caching::Revalidate).await
}

/// A file of another version is an error: a mixture of versions would not work.
async fn versioned(head: HeaderMap, Path((version, name)): Path<(String, String)>) -> Response {
    if version != *VERSION {
        let detail = format!(
            "the Web UI has no version {}: load the page again",
            shown(&version)
        );
        return Problem::new(ProblemKind::NotFound, detail).into_response();
    }
    file(head, name, Caching::Forever).await
}

async fn file(head: HeaderMap, name: String, caching: Caching) -> Response {
    let Some((_, file)) = SERVED.iter().find(|(served, _)| *served == name) else {
        let detail = format!("the Web UI has no file {}", shown(&name));
        return Problem::new(ProblemKind::NotFound, detail).into_response();
    };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, file.response(&head, caching.header())).into_response()
}

/// A page that is written on demand, in the style of the Web UI.
pub fn page(language: &str, title: &str, body: &str) -> Response {
    let style = address("") + "style.css";
    let icon = address("") + "favicon.svg";
    let text = format!(
        "<!doctype html>\n<html lang=\"{language}\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · onelook</title>\n<link rel=\"icon\" href=\"{icon}\">\n\
         <link rel=\"stylesheet\" href=\"{style}\">\n\
         <main class=\"page plain\">\n{body}\n</main>\n</html>\n"
    );
    let headers = [
        (header::CONTENT_TYPE, content_type("page.html")),
        (header::CACHE_CONTROL, Caching::Revalidate.header()),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::VARY, "accept, accept-language"),
    ];
    (headers, text).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("jpg") => "image/jpeg",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn every_file_of_the_ui_is_embedded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/ui");
        let kinds = [".html", ".js", ".css", ".svg", ".jpg"];
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
    fn pages_name_their_files_by_version_only() {
        for file in FILES.iter().filter(|file| file.name.ends_with(".html")) {
            let (name, text) = (file.name, versioned_addresses(file.bytes));
            let whole = text.matches("\"/ui/").count();
            let versioned = text.matches(&address("\"")).count();
            assert!(whole > 3 && whole == versioned, "{name}");
        }
    }

    #[tokio::test]
    async fn files_of_this_version_are_kept_and_those_of_another_refused() {
        let version = |version: &str| {
            let path = (version.to_owned(), "main.js".to_owned());
            versioned(HeaderMap::new(), Path(path))
        };
        let kept = version(&VERSION).await;
        let caching = kept.headers()[header::CACHE_CONTROL].to_str().unwrap();
        assert!(caching.contains("immutable"), "{caching}");
        let other = version("0123456789abcdef").await;
        assert_eq!(other.status(), StatusCode::NOT_FOUND);
        assert!(!other.headers().contains_key(header::CACHE_CONTROL));
        let latest = latest(HeaderMap::new(), Path("main.js".to_owned())).await;
        assert_eq!(latest.headers()[header::CACHE_CONTROL], "no-cache");
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
