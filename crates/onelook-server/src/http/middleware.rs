//! Middleware around every request: makes its context, authenticates it, gives problems the form of
//! the protocol, and records metrics and a log line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tracing::Instrument;

use crate::admission::{ClientKey, Priority};
use crate::app::App;
use crate::auth;
use crate::connection_watch::{AnswerBody, ConnectionWatch};
use crate::connections::client_address;
use crate::memory_budget::MemoryShare;
use crate::problem::Problem;
use crate::request_context::{RemoteAddress, RequestContext};
use crate::traces;

use super::grpc_request::is_grpc;
use super::same_site;
use super::scope::required_scope;
use super::static_file::SharedBytes;

/// Answers up to this size, errors among them, have memory of their own besides.
const SMALL_ANSWER: usize = 64 << 10;

/// What a field of a head takes besides its name and value.
const FIELD_BYTES: usize = 100;

/// The route that matched, as a label: the number of paths is unbounded.
#[derive(Clone)]
struct MatchedRoute(MatchedPath);

/// Copies the route into the response, where [`layer`] finds it.
pub async fn remember_route(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(MatchedRoute(route));
    }
    response
}

/// The middleware.
pub async fn layer(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = request_id(request.headers());
    let format = ErrorFormat::of(&request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let origin = allowed_origin(&app, request.headers());
    // Reading the figures is no work: what watches the server must not see itself.
    let _in_flight = (method == Method::POST).then(|| InFlightGuard::new(&app));
    let peer = request.extensions().get::<RemoteAddress>().copied();
    let span = tracing::info_span!("request", request_id = id, method = method.as_str(), path);
    traces::join(&span, request.headers());
    let watch = request.extensions().get::<Arc<ConnectionWatch>>().cloned();
    let unanswered = watch.map(|watch| (watch.request(), watch));
    let mut client = client_by_address(peer);
    // By address: which token the head holds is not known yet.
    let mut head = None;
    let context = count_head(&app, &client, &request)
        .map(|share| head = Some(share))
        .and_then(|()| same_site::check(&app.config, &request))
        .and_then(|()| request_context(&app, &request, &id, &client));
    let response = match context {
        _ if is_preflight(&request) && origin.is_some() => preflight(),
        Ok(context) => {
            client = Arc::clone(&context.client);
            request.extensions_mut().insert(context);
            next.run(request).instrument(span).await
        }
        Err(problem) => {
            drop(head);
            refuse_body(request).await;
            problem.into_response()
        }
    };
    let recent = &app.recent_requests;
    recent.record(&method, &path, &response, start.elapsed(), &id);
    let response = format.apply(response, &id);
    let (mut response, share) = count_answer(&app, &client, response, format, &id);
    add_common_headers(&mut response, &id, origin.as_ref());
    log_request(&app, &method, &path, peer, &response, start.elapsed(), &id);
    match unanswered {
        Some((request, watch)) => {
            response.map(|body| Body::new(AnswerBody::new(body, &watch, share, request)))
        }
        None => response,
    }
}

/// Counts what a request's head takes for as long as it is in progress: one connection may have many. What is
/// open to all, health above all, has memory of its own.
fn count_head(app: &App, client: &ClientKey, request: &Request) -> Result<MemoryShare, Problem> {
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES);
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |it| it.as_str().len());
    let authority = uri.authority().map_or(0, |it| it.as_str().len());
    let heads = match required_scope(request.method(), uri.path()) {
        Some(_) => &app.heads,
        None => &app.open_heads,
    };
    let share = heads.share(client);
    share.grow(fields.sum::<usize>() + target + authority)?;
    Ok(share)
}

/// Counts an answer of known size, but for what is in memory once for all. A large one for which this client
/// has no memory left is not given; a small one has another budget, and without that no body.
fn count_answer(
    app: &App,
    client: &ClientKey,
    response: Response,
    format: ErrorFormat,
    id: &str,
) -> (Response, MemoryShare) {
    let share = app.memory.share(client);
    let size = response.body().size_hint().exact().unwrap_or_default();
    let size = usize::try_from(size).unwrap_or(usize::MAX >> 1);
    if response.extensions().get::<SharedBytes>().is_some() {
        return (response, share);
    }
    let response = match share.grow(size) {
        Ok(()) => return (response, share),
        Err(problem) if size > SMALL_ANSWER => format.apply(problem.into_response(), id),
        Err(_) => response,
    };
    let size = response.body().size_hint().exact().unwrap_or_default();
    let share = app.small_answers.share(client);
    match share.grow(usize::try_from(size).unwrap_or(usize::MAX >> 1)) {
        Ok(()) => (response, share),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE.into_response(), share),
    }
}

/// Discards the body of a request that is refused. A client that asks before it sends is told at once.
async fn refuse_body(request: Request) {
    if !request.headers().contains_key(header::EXPECT) {
        crate::body::drain(request.into_body()).await;
    }
}

fn client_by_address(peer: Option<RemoteAddress>) -> ClientKey {
    match peer {
        Some(RemoteAddress(peer)) => Arc::from(client_address(peer).to_string()),
        None => Arc::from("local"),
    }
}

/// Counts a request as finished however it ends, also if its connection breaks.
struct InFlightGuard<'a>(&'a App);

impl<'a> InFlightGuard<'a> {
    fn new(app: &'a App) -> Self {
        app.metrics.in_flight.inc();
        Self(app)
    }
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.0.metrics.in_flight.dec();
    }
}

fn request_context(
    app: &App,
    request: &Request,
    id: &str,
    address: &ClientKey,
) -> Result<RequestContext, Problem> {
    let path = request.uri().path();
    let scope = required_scope(request.method(), path);
    let headers = request.headers();
    let token = auth::presented(headers);
    let token = token.as_deref();
    let time_limit = time_limit(app, headers)?;
    let mut context = RequestContext {
        id: Arc::from(id),
        client: Arc::clone(address),
        priority: priority(headers)?,
        caller: None,
        time_limit,
        deadline: tokio::time::Instant::now() + time_limit,
    };
    match scope {
        None => {}
        // Clients of DeepStack send the token as a field of the form: see `authenticated`.
        Some(_) if token.is_none() && path.starts_with("/v1/vision/") => {}
        Some(scope) => context.authenticate(&app.tokens(), token, scope)?,
    }
    Ok(context)
}

/// What is asked for; whether the token allows it is settled with the token.
fn priority(headers: &HeaderMap) -> Result<Priority, Problem> {
    match headers.get("x-priority").map(HeaderValue::as_bytes) {
        None | Some(b"normal") => Ok(Priority::Normal),
        Some(b"high") => Ok(Priority::High),
        Some(b"low") => Ok(Priority::Low),
        Some(_) => Err(Problem::bad_request(
            "the header x-priority must be high, normal or low",
        )),
    }
}

/// The shorter of the server's limit and the client's.
fn time_limit(app: &App, headers: &HeaderMap) -> Result<Duration, Problem> {
    let limit = app.config.limits.request_timeout;
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let wanted =
        match (text("x-timeout-ms"), text("grpc-timeout")) {
            (Some(text), _) => Some(text.parse().ok().map(Duration::from_millis).ok_or_else(
                || Problem::bad_request("the header x-timeout-ms must be a number of milliseconds"),
            )?),
            // tonic refuses what cannot be parsed.
            (None, Some(text)) => grpc_timeout(text),
            (None, None) => None,
        };
    Ok(wanted.map_or(limit, |wanted| wanted.min(limit)))
}

/// `10S`, `250m`: at most eight digits and a unit (gRPC over HTTP/2).
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let value: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

/// The client's own id if it cannot forge a log line, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let given = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let is_sane = |id: &&str| {
        let letters = |letter: char| letter.is_ascii_alphanumeric() || "-_.:".contains(letter);
        !id.is_empty() && id.len() <= 128 && id.chars().all(letters)
    };
    if let Some(id) = given.filter(is_sane) {
        return id.to_owned();
    }
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanoseconds = since_1970.map_or(0, |time| time.as_nanos() as u64);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{nanoseconds:016x}{number:08x}")
}

fn allowed_origin(app: &App, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    app.config
        .allows_origin(origin.as_bytes())
        .then(|| origin.clone())
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    let allow = |text| HeaderValue::from_static(text);
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        allow("GET, POST, PATCH, DELETE"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        allow("authorization, content-encoding, content-type, x-api-key, x-priority, x-request-id, x-timeout-ms"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, allow("600"));
    response
}

fn add_common_headers(response: &mut Response, id: &str, origin: Option<&HeaderValue>) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-request-id", id);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
}

/// The form that a protocol has for problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErrorFormat {
    Problem,
    Inference,
    DeepStack,
    Grpc,
}

impl ErrorFormat {
    fn of(request: &Request) -> Self {
        let path = request.uri().path();
        if is_grpc(request) {
            Self::Grpc
        } else if path == "/v2" || path.starts_with("/v2/") {
            Self::Inference
        } else if path.starts_with("/v1/vision/") {
            Self::DeepStack
        } else {
            Self::Problem
        }
    }

    /// Gives a problem its form. Other responses stay as they are.
    fn apply(self, mut response: Response, id: &str) -> Response {
        let Some(problem) = response.extensions_mut().remove::<Problem>() else {
            return response;
        };
        let (kind, value) = match self {
            Self::Grpc => {
                let status = tonic::Status::new(problem.kind.code(), &problem.detail);
                return status.into_http();
            }
            Self::Inference => ("application/json", json!({"error": problem.detail})),
            Self::DeepStack => {
                let code = problem.kind.status().as_u16();
                let detail = &problem.detail;
                (
                    "application/json",
                    json!({"success": false, "error": detail, "code": code}),
                )
            }
            Self::Problem => {
                let body = json!(problem.body(id));
                ("application/problem+json", body)
            }
        };
        let (mut parts, _) = response.into_parts();
        let content_type = HeaderValue::from_static(kind);
        parts.headers.insert(header::CONTENT_TYPE, content_type);
        parts.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(parts, Body::from(value.to_string()))
    }
}

fn log_request(
    app: &App,
    method: &Method,
    path: &str,
    peer: Option<RemoteAddress>,
    response: &Response,
    time: Duration,
    id: &str,
) {
    let route = response.extensions().get::<MatchedRoute>();
    let route = route.map_or("other", |route| route.0.as_str());
    let status = response.status().as_u16();
    let known = [
        Method::GET,
        Method::POST,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::DELETE,
    ];
    let verb = if known.contains(method) {
        method.as_str()
    } else {
        "other"
    };
    app.metrics
        .requests
        .with_label_values(&[verb, route, &status.to_string()])
        .inc();
    app.metrics
        .request_seconds
        .with_label_values(&[route])
        .observe(time.as_secs_f64());
    let peer = peer.map(|RemoteAddress(address)| address.to_string());
    tracing::info!(
        target: "onelook::access",
        request_id = id,
        peer = peer.as_deref().unwrap_or("-"),
        method = method.as_str(),
        path,
        status,
        ms = (time.as_secs_f64() * 1e6).round() / 1e3,
        "request"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_head_is_counted_with_its_query_and_apart_where_it_is_open_to_all() {
        let app = App::new(Config::default(), Instant::now()).unwrap();
        let client = ClientKey::from("a");
        let (all, of_open) = (app.heads.free(), app.open_heads.free());
        let request = |path: &str| Request::get(path).body(Body::empty()).unwrap();
        let target = format!("/v1/models?{}", "x".repeat(10_000));
        let share = count_head(&app, &client, &request(&target)).unwrap();
        assert_eq!(all - app.heads.free(), target.len());
        drop(share);
        assert_eq!(app.heads.free(), all);
        let _share = count_head(&app, &client, &request("/livez")).unwrap();
        assert_eq!(
            (app.heads.free(), of_open - app.open_heads.free()),
            (all, 6)
        );
    }

    #[test]
    fn without_memory_a_small_answer_has_its_own_and_takes_none_of_the_others() {
        let app = App::new(Config::default(), Instant::now()).unwrap();
        let client = ClientKey::from("a");
        let format = ErrorFormat::Problem;
        let answer = |bytes: usize| Response::new(Body::from(vec![b'x'; bytes]));
        let filled = app.memory.share(&client);
        while filled.grow(1 << 20).is_ok() {}
        let free = app.memory.free();
        let size = |response: &Response| response.body().size_hint().exact().unwrap();
        let (small, share) = count_answer(&app, &client, answer(60_000), format, "id");
        assert_eq!((size(&small), app.memory.free()), (60_000, free));
        assert!(app.small_answers.free() < app.config.limits.head_bytes / 4);
        let (large, _share) = count_answer(&app, &client, answer(2 << 20), format, "id");
        assert_eq!(large.status(), StatusCode::TOO_MANY_REQUESTS);
        let own = app.small_answers.share(&client);
        while own.grow(1 << 10).is_ok() {}
        let (none, _share) = count_answer(&app, &client, answer(60_000), format, "id");
        assert_eq!((none.status().as_u16(), size(&none)), (503, 0));
        drop(share);
    }

    #[test]
    fn an_id_that_could_forge_a_log_line_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", "abc-1".parse().unwrap());
        assert_eq!(request_id(&headers), "abc-1");
        headers.insert("x-request-id", "a b".parse().unwrap());
        assert_ne!(request_id(&headers), "a b");
        assert_ne!(request_id(&headers), request_id(&headers));
    }

    #[test]
    fn grpc_timeouts_are_read_by_their_unit() {
        assert_eq!(grpc_timeout("10S"), Some(Duration::from_secs(10)));
        assert_eq!(grpc_timeout("250m"), Some(Duration::from_millis(250)));
        for wrong in ["", "S", "1", "1x", "123456789S", "é"] {
            assert_eq!(grpc_timeout(wrong), None, "{wrong}");
        }
    }
}
