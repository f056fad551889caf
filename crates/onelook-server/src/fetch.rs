//! Fetches images from URLs in requests: from public addresses, and from hosts and networks that were named.
//!
//! Host names are resolved here, all their addresses must be public, and the connection goes to the
//! address that was checked, so a DNS answer that changes later has no effect (DNS rebinding). Each
//! redirect is checked in the same way. Never sends credentials, and reads no more than the limits
//! allow.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::admission::ClientKey;
use crate::app::App;
use crate::body::{BodyBuffer, BufferedBody};
use crate::config::Config;
use crate::http_client::connect;
use crate::http_client::url::{Target, is_public};
use crate::problem::{Problem, ProblemKind};
use crate::request_context::RequestContext;

/// Largest number of redirects that are followed.
const MAX_REDIRECTS: usize = 3;

/// Longest time for a whole fetch, unless the request's deadline comes first.
const MAX_TIME: Duration = Duration::from_secs(10);

/// Largest number of addresses of a host that are tried.
const MAX_ATTEMPTS: usize = 3;

/// Fetches an encoded image.
pub async fn image(
    app: &App,
    url: &str,
    context: &RequestContext,
) -> Result<BufferedBody, Problem> {
    if !app.config.allow_urls && app.config.allow_url_hosts.is_empty() {
        let detail = "this server does not fetch URLs: send the image itself, or start the server with \
                      --allow-urls or --allow-url-host HOST";
        return Err(Problem::new(ProblemKind::Forbidden, detail));
    }
    let deadline = context.deadline.min(Instant::now() + MAX_TIME);
    let fetching = async {
        let response = Fetcher::new(&app.config).get(url).await?;
        receive(app, &context.client, response.into_body()).await
    };
    match timeout_at(deadline, fetching).await {
        Ok(outcome) => outcome,
        Err(_) => Err(failed("the host did not answer in time")),
    }
}

/// Reads a response's body, within the limits on bodies of requests.
async fn receive(
    app: &App,
    client: &ClientKey,
    mut body: Incoming,
) -> Result<BufferedBody, Problem> {
    let mut buffer = BodyBuffer::new(app, client);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| failed("the host broke off its response"))?;
        if let Ok(data) = frame.into_data() {
            buffer.append(&data)?;
        }
    }
    Ok(buffer.finish())
}

/// How host names are resolved and which addresses are allowed; tests use their own.
struct Fetcher {
    resolve: Resolve,
    is_allowed: IsAllowed,
}

/// Whether a host may be fetched from at this address.
type IsAllowed = Box<dyn Fn(&str, &SocketAddr) -> bool + Send + Sync>;

type Resolve = Box<dyn Fn(&str, u16) -> Resolving + Send + Sync>;
type Resolving = std::pin::Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;

impl Fetcher {
    fn new(config: &Config) -> Self {
        let (public, named) = (config.allow_urls, config.allow_url_hosts.clone());
        Self {
            resolve: Box::new(|host, port| {
                let host = host.to_owned();
                Box::pin(async move {
                    let found = tokio::net::lookup_host((host.as_str(), port)).await?;
                    Ok(found.collect())
                })
            }),
            is_allowed: Box::new(move |host, address| {
                let address = address.ip();
                let mut named = named.iter();
                (public && is_public(address)) || named.any(|rule| rule.allows(host, address))
            }),
        }
    }

    /// The response after all redirects.
    async fn get(&self, url: &str) -> Result<Response<Incoming>, Problem> {
        let mut target = Target::parse(url)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&target).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let next = response.headers().get(header::LOCATION);
            match next.map(HeaderValue::to_str) {
                Some(Ok(next)) if is_redirect(status) => target = target.join(next)?,
                _ => {
                    return Err(failed(&format!("the host answered with status {status}")));
                }
            }
        }
        Err(failed(&format!(
            "the URL redirects more than {MAX_REDIRECTS} times"
        )))
    }

    /// Sends one request, to an address that has just been checked.
    async fn send(&self, target: &Target) -> Result<Response<Incoming>, Problem> {
        let addresses = self.addresses(target).await?;
        let mut connection = Err(failed("the host cannot be reached"));
        for address in addresses.into_iter().take(MAX_ATTEMPTS) {
            let opened = connect::open::<Empty<Bytes>>(target, address).await;
            connection = opened.map_err(failed);
            if connection.is_ok() {
                break;
            }
        }
        let request = Request::builder()
            .uri(target.path())
            .header(header::HOST, target.authority())
            .header(header::ACCEPT, "image/*")
            .header(
                header::USER_AGENT,
                concat!("onelook/", env!("CARGO_PKG_VERSION")),
            )
            .body(Empty::new())
            .map_err(|_| failed("the URL cannot be requested"))?;
        let answered = connection?.send_request(request).await;
        answered.map_err(|_| failed("the host did not answer in HTTP"))
    }

    /// All addresses of a host. If one of them is not allowed, all are refused.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, Problem> {
        let found = (self.resolve)(target.host(), target.port()).await;
        let found = found.map_err(|_| failed("the host's name cannot be resolved"))?;
        if found.is_empty() {
            return Err(failed("the host's name cannot be resolved"));
        }
        let is_allowed = |address| (self.is_allowed)(target.host(), address);
        match found.iter().all(is_allowed) {
            true => Ok(found),
            false => Err(Problem::new(
                ProblemKind::Forbidden,
                "the URL, or one that it redirects to, has an address that is not public and not among \
                 those of --allow-url-host",
            )),
        }
    }
}

/// The error for a URL that was not fetched.
fn failed(reason: &str) -> Problem {
    let detail = format!("url: {reason}: check it, or send the image itself");
    Problem::new(ProblemKind::Unprocessable, detail)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

#[cfg(test)]
mod tests;
