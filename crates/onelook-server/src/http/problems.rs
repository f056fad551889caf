//! `/problems/NAME`: what a kind of problem means and what to do about it, as a page or as JSON, in
//! English or Chinese. The `type` of every problem is such an address.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::pages;
use crate::app::App;
use crate::problem::{Problem, ProblemKind, shown};

/// A text in English and in Chinese.
type Text = [&'static str; 2];

/// Labels of the page: the status, what it means, what to do.
const LABELS: [Text; 3] = [
    ["HTTP status", "HTTP 状态码"],
    ["What it means", "含义"],
    ["What to do", "解决方法"],
];

/// Routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/problems/{name}", get(problem))
}

/// A kind of problem, in JSON.
#[derive(Serialize)]
struct Description {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    meaning: &'static str,
    remedy: &'static str,
}

async fn problem(headers: HeaderMap, Path(name): Path<String>) -> Response {
    let kind = ProblemKind::ALL
        .into_iter()
        .find(|kind| kind.name() == name);
    let Some(kind) = kind else {
        let detail = format!("there is no kind of problem {}", shown(&name));
        return Problem::new(ProblemKind::NotFound, detail).into_response();
    };
    let language = usize::from(prefers_chinese(&headers));
    let [meaning, remedy] = texts(kind).map(|text| text[language]);
    let status = kind.status();
    let description = Description {
        kind: format!("/problems/{name}"),
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        meaning,
        remedy,
    };
    if !text_of(&headers, header::ACCEPT).contains("text/html") {
        let vary = [(header::VARY, "accept, accept-language")];
        return (vary, Json(description)).into_response();
    }
    let [status, what, how] = LABELS.map(|label| label[language]);
    let body = format!(
        "<h1>{name}</h1>\n<dl class=\"details\">\
         <div class=\"wide\"><dt>{status}</dt><dd>{} {}</dd></div>\
         <div class=\"wide\"><dt>{what}</dt><dd>{meaning}</dd></div>\
         <div class=\"wide\"><dt>{how}</dt><dd>{remedy}</dd></div></dl>\n\
         <p><a href=\"/docs\">API</a></p>",
        description.status, description.title,
    );
    pages::page(["en", "zh-Hans"][language], &name, &body)
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> &str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}

/// Whether Chinese comes before English in the languages of the browser, which sends the preferred one
/// first.
fn prefers_chinese(headers: &HeaderMap) -> bool {
    let languages = text_of(headers, header::ACCEPT_LANGUAGE).to_ascii_lowercase();
    let mut languages = languages.split(',').map(str::trim);
    let first = languages.find(|tag| tag.starts_with("zh") || tag.starts_with("en"));
    first.is_some_and(|tag| tag.starts_with("zh"))
}

/// What a kind of problem means, and what to do.
fn texts(kind: ProblemKind) -> [Text; 2] {
    match kind {
        ProblemKind::BadRequest => [
            [
                "A parameter, a header or the body of the request is invalid.",
                "请求的某个参数、标头或请求体无效。",
            ],
            [
                "Read the detail of the response: it names the value and what was expected.",
                "请查看响应中的 detail：它指出了出错的值和期望的值。",
            ],
        ],
        ProblemKind::Unauthorised => [
            [
                "The server requires a token, and the request had none or an unknown one.",
                "服务器需要令牌，而请求没有令牌或令牌未知。",
            ],
            [
                "Send 'Authorization: Bearer TOKEN' or 'X-API-Key: TOKEN'. Whoever runs the server has the tokens.",
                "请发送 'Authorization: Bearer TOKEN' 或 'X-API-Key: TOKEN'。令牌由服务器的管理者提供。",
            ],
        ],
        ProblemKind::Forbidden => [
            [
                "The token is known, but its scope does not allow this; or the server does not fetch URLs.",
                "令牌有效，但其权限不允许此操作；或者服务器不下载网址。",
            ],
            [
                "Use a token with a wider scope (read, infer, admin), or send the image itself in place of its URL.",
                "请使用权限更大的令牌（read、infer、admin），或者直接发送图片而不是网址。",
            ],
        ],
        ProblemKind::NotFound => [
            [
                "There is no such path, or no model with this name.",
                "没有这个路径，或者没有这个名称的模型。",
            ],
            [
                "See /docs for the paths and /v1/models for the models.",
                "路径见 /docs，模型见 /v1/models。",
            ],
        ],
        ProblemKind::MethodNotAllowed => [
            [
                "The path exists, but not with this method.",
                "路径存在，但不支持这个方法。",
            ],
            [
                "Use a method that the header Allow of the response names.",
                "请使用响应的 Allow 标头中列出的方法。",
            ],
        ],
        ProblemKind::NotAcceptable => [
            [
                "The server cannot write the response in any format that the header Accept names.",
                "服务器无法以 Accept 标头中的任何格式写出响应。",
            ],
            [
                "Accept application/json; for one image also image/jpeg or image/png.",
                "请接受 application/json；只有一张图片时也可用 image/jpeg 或 image/png。",
            ],
        ],
        ProblemKind::Timeout => [
            ["The request arrived too slowly.", "请求到达得太慢。"],
            [
                "Send it again, over a faster connection or with a smaller image.",
                "请在更快的连接上重新发送，或者发送较小的图片。",
            ],
        ],
        ProblemKind::TooLarge => [
            [
                "The body or an image is larger than the server allows, or there are too many images.",
                "请求体或某张图片超过了服务器的限制，或者图片太多。",
            ],
            [
                "Send less; or start the server with a larger --max-body, --max-pixels or --max-images.",
                "请减少内容；或者用更大的 --max-body、--max-pixels 或 --max-images 启动服务器。",
            ],
        ],
        ProblemKind::Unsupported => [
            [
                "The server does not read this format of body or image.",
                "服务器无法读取这种格式的请求体或图片。",
            ],
            [
                "Send JPEG, PNG, WebP, BMP, TIFF or GIF, and name the body's type in Content-Type.",
                "请发送 JPEG、PNG、WebP、BMP、TIFF 或 GIF，并在 Content-Type 中写明请求体的类型。",
            ],
        ],
        ProblemKind::UnsupportedEncoding => [
            [
                "The body is compressed in a way that the server does not read, or more than once.",
                "请求体的压缩方式服务器无法读取，或压缩了不止一次。",
            ],
            [
                "Compress it once, in a way that the header Accept-Encoding of the response names, or send it plain.",
                "请只压缩一次，并采用响应的 Accept-Encoding 标头中列出的方式，或者不压缩。",
            ],
        ],
        ProblemKind::Unprocessable => [
            [
                "The request was understood, but its content cannot be used: an image is damaged or cannot be fetched, or a model cannot be loaded.",
                "请求可以理解，但其内容无法使用：图片损坏或无法下载，或者模型无法加载。",
            ],
            [
                "Read the detail of the response, and check the image or the model's file.",
                "请查看响应中的 detail，并检查图片或模型文件。",
            ],
        ],
        ProblemKind::TooMany => [
            [
                "This client has more requests waiting than its share.",
                "此客户端等待中的请求超过了它的份额。",
            ],
            [
                "Wait as long as the header Retry-After says, and send fewer requests at once.",
                "请等待 Retry-After 标头给出的时间，并减少同时发送的请求。",
            ],
        ],
        ProblemKind::Overloaded => [
            [
                "All clients together send more than the server can do.",
                "所有客户端发送的请求超过了服务器的处理能力。",
            ],
            [
                "Wait as long as the header Retry-After says, then send the request again.",
                "请等待 Retry-After 标头给出的时间，然后重新发送。",
            ],
        ],
        ProblemKind::NotReady => [
            [
                "The model is not loaded: it is still loading, failed to load, or was unloaded.",
                "模型尚未加载：正在加载、加载失败或已被卸载。",
            ],
            [
                "See its state at /v1/models; load it with POST /v1/models/NAME/load.",
                "状态见 /v1/models；用 POST /v1/models/NAME/load 加载它。",
            ],
        ],
        ProblemKind::Deadline => [
            [
                "The time that the request or the server allows passed before the response was ready.",
                "在响应就绪之前，请求或服务器允许的时间已经用完。",
            ],
            [
                "Allow more time with the header x-timeout-ms, or send the request when the server is less busy.",
                "请用 x-timeout-ms 标头给出更长的时间，或者在服务器不太忙时重新发送。",
            ],
        ],
        ProblemKind::Internal => [
            [
                "The server failed; the request is not to blame.",
                "服务器出错，与请求无关。",
            ],
            [
                "Look for the request's id in the server's log, and report what it says.",
                "请在服务器的日志中查找请求编号，并报告其内容。",
            ],
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &'static str, language: &'static str) -> HeaderMap {
        let pairs = [
            (header::ACCEPT, accept),
            (header::ACCEPT_LANGUAGE, language),
        ];
        pairs
            .map(|(name, value)| (name, value.parse().unwrap()))
            .into_iter()
            .collect()
    }

    #[tokio::test]
    async fn every_kind_has_a_page_and_json() {
        for kind in ProblemKind::ALL {
            let name = || Path(kind.name().to_owned());
            let page = problem(headers("text/html, */*", "zh-CN"), name()).await;
            assert_eq!(
                page.headers()[header::CONTENT_TYPE],
                "text/html; charset=utf-8"
            );
            let json = problem(HeaderMap::new(), name()).await;
            assert_eq!(json.headers()[header::CONTENT_TYPE], "application/json");
            assert!(json.status().is_success());
        }
    }

    #[test]
    fn the_language_is_the_first_known_one() {
        for (language, chinese) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", true),
            ("fr, zh", true),
            ("en-GB, zh", false),
            ("de", false),
            ("", false),
        ] {
            assert_eq!(
                prefers_chinese(&headers("", language)),
                chinese,
                "{language}"
            );
        }
    }

    #[tokio::test]
    async fn another_name_is_not_found() {
        let response = problem(HeaderMap::new(), Path("nonsense".to_owned())).await;
        assert_eq!(response.status(), 404);
    }
}
